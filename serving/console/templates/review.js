"use strict";
const find = id => document.getElementById(id);
const dataset = document.body.dataset.dataset;
const base = `/datasets/${dataset}`;
const MOST_PROPOSALS = 9;
const SAID = {confirm: "Confirmed as", relabel: "Relabelled", delete: "Deleted; it was",
  hard: "Really hard, and right:"};

let items = [];
let at = 0;
let total = 0;
let isLast = true;
let classes = [];
let several = false;
let busy = false;
let decided = []; // of this visit, in order

// Several labels stand in one string; no label's name holds a bar then.
const split = label => label ? label.split("|") : [];
const tell = label => several ? split(label).join(", ") || "none" : label;

const percent = value => `${(100 * value).toFixed(value > 0.0995 || value === 0 ? 0 : 1)} %`;
const make = (tag, text = "", name = "") => {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
};
const picture = (sha256, small) => `${base}/pictures/${sha256}${small ? "?small=true" : ""}`;

async function ask(path, content) {
  const options = content === undefined ? {} : {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(content)
  };
  let answer;
  try {
    answer = await fetch(base + path, options);
  } catch (error) {
    throw {code: "network", message: "The console does not answer. Is it running? ./modelmill status"};
  }
  const found = await answer.json().catch(() => null);
  if (answer.ok && found) return found;
  throw found && found.error
    || {code: "failed", message: `The console failed (${answer.status}): see ./modelmill status.`};
}

function showOnly(id) {
  for (const one of ["closed", "done", "work"]) find(one).hidden = one !== id;
  for (const one of ["place", "bar", "keys-label"]) find(one).hidden = id === "closed";
}

function complain(error) {
  if (error.code === "session") {
    showOnly("closed");
    if (error.message.startsWith("This address")) find("closed-title").textContent = error.message;
    say("");
    return;
  }
  find("problem").textContent = error.message || String(error);
}

function say(text) {
  find("status").textContent = text;
  find("problem").textContent = "";
}

async function fetchMore() {
  const last = items[items.length - 1];
  const query = last ? `?suspicion=${last.suspicion}&sha256=${last.sha256}` : "";
  const found = await ask(`/review/items${query}`);
  const known = new Set(items.map(one => one.sha256));
  items.push(...found.items.filter(one => !known.has(one.sha256)));
  isLast = found.is_last;
  total = Math.max(total, items.length, found.open + items.filter(one => one.decision).length);
  classes = found.classes;
  several = found.task === "image_multilabel";
  find("classes").replaceChildren(...classes.map(name => {
    const option = make("option");
    option.value = name;
    return option;
  }));
}

function proposals(item) {
  if (several) return [];
  const near = item.neighbours.map(one => one.label);
  const found = [item.predicted, ...item.scores.map(score => score[0]), ...near, ...classes];
  return [...new Set(found)].filter(name => name && name !== item.label).slice(0, MOST_PROPOSALS);
}

// The large button: the label as it is, or as the chips now say.
function settle() {
  const item = items[at];
  if (!item || find("confirm").disabled) return;
  if (isChanged(item)) decide("relabel", joinChosen());
  else decide("confirm");
}

function showActions(item) {
  const isDecided = Boolean(item.decision);
  const verdict = find("verdict");
  verdict.hidden = !isDecided;
  verdict.textContent = isDecided ? `${SAID[item.decision.verdict]} ${tell(item.decision.label)}.` : "";
  find("confirm").replaceChildren(make("kbd", "Enter"), `${item.label} is right`);
  find("proposals").replaceChildren(...proposals(item).map((name, number) => {
    const button = make("button");
    button.type = "button";
    button.append(make("kbd", String(number + 1)), name);
    button.setAttribute("aria-keyshortcuts", String(number + 1));
    button.setAttribute("aria-label", `It is ${name}`);
    button.addEventListener("click", () => decide("relabel", name));
    return button;
  }));
  find("label").value = "";
  find("label-text").textContent = several ? "Or written, a|b" : "Another class";
  find("chips").hidden = !several;
  find("as-model").hidden = true;
  const settling = find("actions").querySelectorAll(
    "#confirm, #as-model, #proposals button, #other *, #hard, #delete");
  for (const one of settling) one.disabled = isDecided;
  if (several) showChips(item);
  for (const one of find("chips").children) one.disabled = isDecided;
  find("previous").disabled = at === 0;
  find("undo").disabled = !isDecided && decided.length === 0;
}

function showScores(item) {
  const rows = item.scores.map(([name, score]) => {
    const row = make("tr");
    const head = make("th", name);
    head.scope = "row";
    const own = several ? split(item.label).includes(name) : name === item.label;
    if (own) head.append(make("span", " (its label)", "tag"));
    const bar = make("progress");
    bar.max = 1;
    bar.value = score;
    bar.setAttribute("aria-label", `Score of ${name}`);
    const middle = make("td");
    middle.append(bar);
    row.append(head, middle, make("td", percent(score)));
    return row;
  });
  find("scores").replaceChildren(...rows);
  find("scores").hidden = find("scores-title").hidden = rows.length === 0;
}

function showNeighbours(item) {
  const shown = item.neighbours.slice(0, 3).map(one => {
    const entry = make("li");
    const image = make("img");
    image.loading = "lazy";
    image.alt = one.name;
    image.src = picture(one.sha256, true);
    entry.append(image, make("b", tell(one.label)), make("span", ` ${percent(one.similarity)} alike`, "tag"));
    return entry;
  });
  find("neighbours").replaceChildren(...shown);
  find("neighbours-part").hidden = shown.length === 0;
}

function differs(item) {
  const said = item.predicted || (several && isAnswered(item));
  return said && item.predicted !== item.label;
}

function show() {
  const item = items[at];
  if (!item) return showDone();
  showOnly("work");
  find("place").textContent = `${at + 1} of ${total}`;
  find("bar").max = total;
  find("bar").value = items.filter(one => one.decision).length;
  const served = item.served && `Sent to ${item.served.deployment}: `
    + (item.served.feedback ? `its sender says ${tell(item.served.feedback)}, ` : "")
    + `the model says ${tell(item.predicted)}`;
  const asked = served ? served : differs(item)
    ? `Labelled ${tell(item.label)}, but the model says ${tell(item.predicted)}`
    : `Labelled ${tell(item.label)}`;
  find("question").textContent = asked;
  const image = find("picture");
  find("no-picture").hidden = true;
  image.hidden = false;
  image.alt = `The picture ${item.name}`;
  image.src = picture(item.sha256, false);
  find("name").textContent = item.name;
  showActions(item);
  showScores(item);
  find("reasons").replaceChildren(...item.reasons.map(text => make("li", text)));
  find("reasons-part").hidden = item.reasons.length === 0;
  showNeighbours(item);
  if (items[at + 1]) new Image().src = picture(items[at + 1].sha256, false);
  if (!isLast && at > items.length - 8) fetchMore().catch(complain);
}

function showDone() {
  showOnly("done");
  const waiting = items.filter(one => !one.decision).length;
  const count = decided.length;
  find("place").textContent = "";
  find("bar").value = items.length - waiting;
  find("done-title").textContent = waiting ? `${waiting} skipped, the rest is done`
    : "Nothing is left to review";
  find("done-text").textContent = `${count} decided in this visit. `
    + "The next training learns from the labels as they are now.";
  find("back").disabled = items.length === 0;
  find("done-title").focus();
}

function describe(item) {
  const said = item.decision ? `decided: ${item.decision.verdict}` : `labelled ${tell(item.label)}`;
  return `${at + 1} of ${total}, ${said}.`;
}

function move(step, before = "") {
  at = Math.min(items.length, Math.max(0, at + step));
  show();
  window.scrollTo(0, 0);
  say(`${before} ${items[at] ? describe(items[at]) : ""}`.trim());
}

async function alone(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (error) {
    complain(error);
  } finally {
    busy = false;
  }
}

function decide(verdict, label = "", isNew = false) {
  const item = items[at];
  if (!item || item.decision || find("work").hidden) return;
  alone(async () => {
    try {
      const sent = {sha256: item.sha256, verdict, label, new_class: isNew};
      Object.assign(item, await ask("/review/decision", sent));
    } catch (error) {
      if (error.code !== "new_class") throw error;
      find("ask-text").textContent = error.message;
      find("ask").dataset.label = label || item.label;
      find("ask").showModal();
      return;
    }
    const named = several ? split(label) : [label];
    if (isNew) classes.push(...named.filter(name => !classes.includes(name)));
    decided.push(item.sha256);
    const now = item.decision;
    document.activeElement.blur();
    move(1, `${SAID[now.verdict]} ${tell(now.label)}. U undoes it.`);
  });
}

function undo() {
  const here = items[at];
  const sha256 = here && here.decision ? here.sha256 : decided[decided.length - 1];
  const item = items.find(one => one.sha256 === sha256);
  if (!item) return;
  alone(async () => {
    Object.assign(item, await ask("/review/undo", {sha256}));
    decided = decided.filter(one => one !== sha256);
    at = items.indexOf(item);
    show();
    say(`Undone. ${describe(item)}`);
  });
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (find("ask").open || !find("closed").hidden) return;
  const target = event.target;
  if (target.tagName === "INPUT" && target.type !== "checkbox") {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (event.key === "ArrowLeft") move(-1);
  else if (event.key === "ArrowRight" && items[at]) move(1);
  else if (!find("keys").checked || event.repeat) return;
  else if (event.key === "Enter") {
    // A focused button or link does its own.
    if (target !== document.body) return;
    settle();
  } else if (event.key === "/") {
    if (!find("label").disabled) find("label").select();
  } else if (/^[1-9]$/.test(event.key)) {
    const button = find(several ? "chips" : "proposals").children[Number(event.key) - 1];
    if (button) button.click();
  } else if (several && event.key.toLowerCase() === "m") {
    takeModel();
  } else if (event.key.toLowerCase() === "d") decide("delete");
  else if (event.key.toLowerCase() === "h") decide("hard");
  else if (event.key.toLowerCase() === "u") undo();
  else return;
  event.preventDefault();
}

async function begin() {
  const token = location.hash.slice(1);
  // Out of the address before anybody copies it.
  if (token) history.replaceState(null, "", location.pathname);
  if (token) await ask("/session", {token});
  items = [];
  total = at = 0;
  await fetchMore();
  show();
  say(items[0] ? describe(items[0]) : "");
}

find("picture").addEventListener("error", async () => {
  const image = find("picture");
  if (!image.getAttribute("src")) return;
  image.hidden = true;
  find("no-picture").hidden = false;
  find("no-picture").textContent = "This picture cannot be shown.";
  const answer = await fetch(image.src).catch(() => null);
  const found = answer && !answer.ok ? await answer.json().catch(() => null) : null;
  if (found && found.error && image.hidden) find("no-picture").textContent = found.error.message;
});
find("confirm").addEventListener("click", settle);
find("as-model").addEventListener("click", takeModel);
find("hard").addEventListener("click", () => decide("hard"));
find("delete").addEventListener("click", () => decide("delete"));
find("previous").addEventListener("click", () => move(-1));
find("next").addEventListener("click", () => move(1));
find("undo").addEventListener("click", undo);
find("back").addEventListener("click", () => move(-1));
find("again").addEventListener("click", () => alone(begin));
find("other").addEventListener("submit", event => {
  event.preventDefault();
  decide("relabel", find("label").value);
});
find("ask-no").addEventListener("click", () => { find("ask").close(); find("label").focus(); });
find("ask-yes").addEventListener("click", () => {
  find("ask").close();
  decide("relabel", find("ask").dataset.label, true);
});
document.addEventListener("keydown", press);
alone(begin);
