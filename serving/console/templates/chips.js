"use strict";
// The labels of a picture that may have several: a button each, which is on or off. The page's other
// script, which comes after this one, shows the rest, and has what is not declared here.
const MOST_CHIPS = 40; // more labels than these are written
let chosen = new Set(); // those that are switched on

// Whether a model has said which labels it has; that may be none.
const isAnswered = item => Boolean(
  item.predicted || item.scores.length || item.served || item.source === "label_suspect");

// Its own label need not be a class any more: it can be switched off all the same.
const canBeSaid = (item, name) => classes.includes(name) || split(item.label).includes(name);

// What it has, then what the model says of it, then all others.
function listChips(item) {
  const found = [...split(item.label), ...split(item.predicted), ...item.scores.map(one => one[0])];
  return [...new Set([...found, ...classes])].filter(name => canBeSaid(item, name))
    .slice(0, MOST_CHIPS);
}

function doubt(item, name) {
  const has = split(item.label).includes(name), said = split(item.predicted).includes(name);
  return has === said || !isAnswered(item) ? ""
    : said ? " the model says yes" : " the model says no";
}

function showChips(item) {
  find("chips").replaceChildren(...listChips(item).map((name, number) => {
    const button = make("button", "", "chip");
    button.type = "button";
    button.dataset.name = name;
    if (number < MOST_PROPOSALS) {
      button.append(make("kbd", String(number + 1)), " ");
      button.setAttribute("aria-keyshortcuts", String(number + 1));
    }
    button.append(name);
    if (doubt(item, name)) button.append(make("span", doubt(item, name), "tag"));
    button.addEventListener("click", event => {
      if (!chosen.delete(name)) chosen.add(name);
      // After a click of the mouse, Enter is for the large button.
      if (event.detail) button.blur();
      showChosen(item);
    });
    return button;
  }));
  chosen = new Set(split(item.label));
  const said = split(item.predicted).filter(name => canBeSaid(item, name));
  find("as-model").hidden = !said.length || item.predicted === item.label;
  showChosen(item);
}

const joinChosen = () => [...chosen].sort().join("|");
const isChanged = item => several && joinChosen() !== split(item.label).sort().join("|");

function showChosen(item) {
  for (const button of find("chips").children) {
    button.setAttribute("aria-pressed", String(chosen.has(button.dataset.name)));
  }
  find("label").value = joinChosen();
  const labels = tell(joinChosen());
  find("confirm").replaceChildren(make("kbd", "Enter"), !chosen.size ? "It needs a label"
    : isChanged(item) ? `Relabel: ${labels}` : `${labels} is right`);
  find("confirm").disabled = Boolean(item.decision) || !chosen.size;
}

function takeModel() {
  const item = items[at];
  if (!item || item.decision || find("as-model").hidden) return;
  chosen = new Set(split(item.predicted).filter(name => canBeSaid(item, name)));
  showChosen(item);
  say(`Switched to what the model says: ${tell(joinChosen())}. Enter takes it.`);
}
