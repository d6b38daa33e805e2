"use strict";

const SHOWN = 300; // squares
const SECONDS = 30; // of the chart
const [WIDTH, TOP, BOTTOM] = [900, 8, 140]; // of the levels in the chart
const [UP, DOWN, BAR] = [176, 178, 28]; // of the bars below them: their beginnings, and the greatest length
const BIN = 400; // ms, of a bar

const at = (id) => document.getElementById(id);
const key = () => document.querySelector("input[name=key]:checked").value;
const headersOfKey = () => (key() ? { "x-api-key": key() } : {});
const counts = { open: 0, admitted: 0, refused: 0, failed: 0 };
let answers = []; // of the last seconds: their time and outcome
let samples = []; // of the last seconds: their time, and of each bucket its name and the share that is full

function count(what, change) {
  counts[what] += change;
  at(what).textContent = counts[what];
}

async function send() {
  let response = null;
  count("open", 1);
  try {
    response = await fetch("api/hello", { headers: headersOfKey(), cache: "no-store" });
    await response.text();
  } catch {
    response = null;
  }
  count("open", -1);
  const outcome = response?.ok ? "admitted" : response?.status === 429 ? "refused" : "failed";
  show(outcome, response);
}

function show(outcome, response) {
  count(outcome, 1);
  answers.push({ time: performance.now(), outcome });
  const square = document.createElement("li");
  square.className = outcome;
  square.title = `${response?.status ?? "no answer"}, ${new Date().toLocaleTimeString()}`;
  at("requests").prepend(square);
  while (at("requests").childElementCount > SHOWN) at("requests").lastElementChild.remove();
  at("status").textContent = response ? `${response.status}` : "none";
  at("status").className = `status ${outcome}`;
  const rows = [...(response?.headers ?? [])].map(([name, value]) => {
    const row = document.createElement("tr");
    for (const [kind, text] of [["th", name], ["td", value]]) {
      row.append(Object.assign(document.createElement(kind), { textContent: text }));
    }
    return row;
  });
  document.querySelector("#headers tbody").replaceChildren(...rows);
}

function fill(id, bucket) {
  const card = at(id);
  card.classList.toggle("unused", !bucket);
  card.querySelector(".level").textContent = bucket ? `${bucket.level.toFixed(1)} of ${bucket.burst}` : "none";
  card.querySelector(".quota").textContent = bucket ? `${bucket.name}: ${bucket.quota}` : "not limited by a key";
  card.querySelector(".water").style.width = `${bucket ? (100 * bucket.level) / bucket.burst : 0}%`;
}

// Asks for the levels, again and again.
async function watch() {
  try {
    const response = await fetch("levels", { headers: headersOfKey(), cache: "no-store" });
    const levels = await response.json();
    fill("address", levels.address);
    fill("key", levels.key);
    const share = (bucket) => bucket && { name: bucket.name, share: bucket.level / bucket.burst };
    samples.push({ time: performance.now(), address: share(levels.address), key: share(levels.key) });
  } catch {
    // The server is gone. It may come back.
  }
  setTimeout(watch, 200);
}

function draw() {
  const now = performance.now();
  const isShown = ({ time }) => time > now - SECONDS * 1000;
  [samples, answers] = [samples.filter(isShown), answers.filter(isShown)];
  const x = (time) => (WIDTH * (1 - (now - time) / (SECONDS * 1000))).toFixed(1);
  const y = (share) => (BOTTOM - share * (BOTTOM - TOP)).toFixed(1);
  for (const which of ["address", "key"]) {
    // Another key has another bucket, and a line of its own.
    const lines = [];
    let name = null;
    for (const { time, [which]: bucket } of samples) {
      if (bucket && bucket.name !== name) lines.push([]);
      if (bucket) lines.at(-1).push([x(time), y(bucket.share)]);
      name = bucket?.name;
    }
    at(`${which}-line`).setAttribute("d", lines.map((line) => `M${line.join("L")}`).join(""));
    const area = (line) => `M${line[0][0]} ${BOTTOM}L${line.join("L")}L${line.at(-1)[0]} ${BOTTOM}Z`;
    at(`${which}-area`)?.setAttribute("d", lines.map(area).join(""));
  }
  for (const [outcome, from, sign] of [["admitted", UP, -1], ["refused", DOWN, 1]]) {
    const bins = new Map();
    for (const answer of answers.filter((answer) => answer.outcome === outcome)) {
      const bin = Math.floor(answer.time / BIN);
      bins.set(bin, (bins.get(bin) ?? 0) + 1);
    }
    const bar = ([bin, n]) => `M${x((bin + 0.5) * BIN)} ${from}v${sign * Math.min(BAR, 2 + n * 2)}`;
    at(`${outcome}-bars`).setAttribute("d", [...bins].map(bar).join(""));
  }
  requestAnimationFrame(draw);
}

let stream = null;

function setStream(isOn) {
  clearInterval(stream);
  stream = isOn ? setInterval(send, 1000 / at("rate").value) : null;
  at("stream").setAttribute("aria-pressed", isOn);
  at("stream").textContent = isOn ? "Stop the stream" : "Start a stream";
}

at("one").addEventListener("click", send);
at("burst").addEventListener("click", () => Array.from({ length: 20 }, send));
at("stream").addEventListener("click", () => setStream(stream === null));
at("rate").addEventListener("input", () => {
  at("rate-text").textContent = `${at("rate").value} a second`;
  if (stream !== null) setStream(true);
});
watch();
draw();
