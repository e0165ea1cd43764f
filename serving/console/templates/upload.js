"use strict";
const find = id => document.getElementById(id);
const base = `/datasets/${document.body.dataset.dataset}`;
const MOST_MISSES = 30;
let upload = null;
let busy = false;

const make = (tag, text) => {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
};
const say = text => { find("status").textContent = text; };

async function ask(path, method = "POST", body = undefined) {
  const options = {method, body};
  if (body instanceof Blob) options.headers = {"Content-Type": "application/octet-stream"};
  else if (body) options.headers = {"Content-Type": "application/json"};
  let answer;
  try {
    answer = await fetch(base + path, options);
  } catch (error) {
    throw {message: "The console does not answer. Is it running? ./modelmill status"};
  }
  const found = await answer.json().catch(() => null);
  if (answer.ok && found) return found;
  throw found && found.error || {message: `The console failed (${answer.status}).`};
}

async function alone(work) {
  if (busy) return;
  busy = true;
  find("problem").textContent = "";
  for (const one of find("work").querySelectorAll("input, button")) one.disabled = true;
  try {
    await work();
  } catch (error) {
    if (error.code === "session") for (const id of ["work", "closed"]) find(id).hidden = id === "work";
    find("problem").textContent = error.message || String(error);
    say("");
  } finally {
    busy = false;
    find("sending").hidden = true;
    for (const one of find("work").querySelectorAll("input, button")) one.disabled = false;
    find("import").disabled = !upload || Object.keys(upload.classes).length === 0;
    for (const id of ["archive", "files"]) find(id).value = "";
  }
}

function show() {
  const rows = Object.entries(upload ? upload.classes : {}).map(([name, count]) => {
    const row = make("tr", "");
    row.append(make("th", name), make("td", `${count} ${count === 1 ? "picture" : "pictures"}`));
    return row;
  });
  find("classes").replaceChildren(...rows);
  find("classes-title").hidden = rows.length === 0;
  const refusals = upload ? upload.refusals : 0;
  find("refused-part").hidden = refusals === 0;
  find("refused-title").textContent = `Left out: ${refusals}`;
  const refused = upload ? upload.refused : [];
  find("refused").replaceChildren(...refused.map(([name, why]) => make("li", `${name}: ${why}`)));
}

async function need() {
  if (!upload) upload = await ask("/uploads");
  find("result").hidden = true;
}

async function sendArchive(file) {
  await need();
  say(`Sending ${file.name} and unpacking it …`);
  find("sending").hidden = false;
  find("sending").removeAttribute("value");
  upload = await ask(`/uploads/${upload.id}/archive`, "POST", file);
  show();
  say("Unpacked.");
}

async function sendFiles(files) {
  const label = find("class").value.trim();
  if (!label) {
    find("class").focus();
    throw {message: "Give the class's name first, then choose its pictures."};
  }
  await need();
  find("sending").hidden = false;
  find("sending").max = files.length;
  for (const [number, file] of files.entries()) {
    say(`Sending ${number + 1} of ${files.length} …`);
    find("sending").value = number;
    const query = new URLSearchParams([["label", label], ["file", file.name]]);
    upload = await ask(`/uploads/${upload.id}/files?${query}`, "POST", file);
    show();
  }
  say(`${files.length} sent.`);
}

function take(files) {
  const chosen = [...files];
  if (chosen.length === 0) return;
  const archive = chosen.find(file => file.name.toLowerCase().endsWith(".zip"));
  alone(() => archive ? sendArchive(archive) : sendFiles(chosen));
}

async function startImport() {
  await ask(`/uploads/${upload.id}/import`);
  find("sending").hidden = false;
  find("sending").removeAttribute("value");
  const begin = Date.now();
  let misses = 0;
  for (;;) {
    let found = {state: "waiting for Airflow"};
    try {
      found = await ask(`/uploads/${upload.id}/import`, "GET");
      misses = 0;
    } catch (error) {
      // A busy machine fails to answer now and then; the import goes on.
      misses += 1;
      if (misses > MOST_MISSES || error.code === "session" || error.code === "missing") throw error;
    }
    if (found.state === "failed") throw {message: found.reason};
    if (found.state === "success") return showResult(found.outcome);
    say(`Importing: ${found.state}, ${Math.round((Date.now() - begin) / 1000)} s …`);
    await new Promise(resolve => setTimeout(resolve, 1000));
  }
}

function showResult(outcome) {
  upload = null;
  show();
  find("result").hidden = false;
  find("result-text").textContent = outcome ? `Read ${outcome.read}, added ${outcome.added}, `
    + `already there ${outcome.already_there}, conflicts ${outcome.conflicts}, `
    + `rejected ${outcome.rejected.length}.` : "Its numbers are on the run's page in Airflow.";
  const rejected = outcome ? outcome.rejected.slice(0, 50) : [];
  find("rejected").replaceChildren(...rejected.map(one => make("li", `${one.name}: ${one.reason}`)));
  say("Imported.");
}

async function begin() {
  const token = location.hash.slice(1);
  // Out of the address before anybody copies it.
  if (token) history.replaceState(null, "", location.pathname);
  if (token) await ask("/session", "POST", JSON.stringify({token}));
  else await ask("/session", "GET");
  find("work").hidden = false;
}

find("archive").addEventListener("change", event => take(event.target.files));
find("files").addEventListener("change", event => take(event.target.files));
find("import").addEventListener("click", () => alone(startImport));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, event => {
    event.preventDefault();
    find("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files);
  });
}
alone(begin);
