"use strict";

// Shows the runner's state file. On the holding page: until the app answers instead of this page.
const body = document.body;
const holding = body.dataset.page === "holding";
const MARKS = { done: "✓", ready: "✓", failed: "✕", blocked: "✕", degraded: "!", skipped: "–", stopped: "–" };
const ACTIVE = ["running", "verifying", "starting"];
const TROUBLE = ["failed", "blocked", "degraded"];
const ENDED = ["done", "skipped", "degraded", "failed", "blocked"];
let outside = { ports: {}, base_url: "/", places: [], problems: [] };
let turns = 0;

const find = (id) => document.getElementById(id);

function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}

// Text with `commands` in back quotes, as nodes.
function prose(text) {
  return text.split("`").map((part, odd) => (odd % 2 ? element("code", "", part) : document.createTextNode(part)));
}

function sentence(text) {
  if (!text) return "";
  return text[0].toUpperCase() + text.slice(1) + (/[.!?`]$/.test(text) ? "" : ".");
}

function paragraph(kind, text) {
  const made = element("p", kind);
  made.append(...prose(text));
  return made;
}

// The words of `firstlight status`.
function size(bytes) {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (bytes < 999.5) return (unit === "B" || bytes >= 99.95 ? Math.round(bytes) : bytes.toFixed(1)) + " " + unit;
    bytes /= 1000;
  }
  return bytes.toFixed(2) + " TB";
}

function span(seconds) {
  if (seconds < 9.95) return Math.max(0, seconds).toFixed(1) + " s";
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const whole = Math.round(seconds);
  if (whole < 60) return whole + " s";
  if (whole < 3600) return Math.floor(whole / 60) + " min " + two(whole % 60) + " s";
  if (whole < 86400) return Math.floor(whole / 3600) + " h " + two((whole % 3600) / 60) + " min";
  return Math.floor(whole / 86400) + " d " + two((whole % 86400) / 3600) + " h";
}

// Another port of this machine, as this browser reaches it: its own host name behind RunPod's proxy, a mapped port
// behind Vast's, else the same host.
function address(port, path) {
  const proxied = location.hostname.match(/^(.+)-\d+(\.proxy\.runpod\.net)$/);
  const tail = "/" + String(path).replace(/^\/+/, "");
  if (proxied) return "https://" + proxied[1] + "-" + port + proxied[2] + tail;
  return location.protocol + "//" + location.hostname + ":" + (outside.ports[port] || port) + tail;
}

const lab = () => address(body.dataset.jupyter, outside.base_url + "lab");

function bar(done, total) {
  const outer = element("div", "bar");
  const inner = element("i");
  inner.style.width = (total ? Math.min(100, (100 * done) / total) : 0) + "%";
  outer.append(inner);
  return outer;
}

function amount(stage) {
  const known = stage.bytes_total || stage.bytes_done;
  if (known && ACTIVE.includes(stage.state)) {
    const done = size(stage.bytes_done || 0);
    return stage.bytes_total ? done + " of " + size(stage.bytes_total) : done;
  }
  if (stage.started && stage.ended) return span(stage.ended - stage.started);
  if (stage.started && ACTIVE.includes(stage.state)) return span(Date.now() / 1000 - stage.started);
  return "";
}

function item(stage) {
  const line = element("li", stage.state);
  const mark = element("span", "mark", MARKS[stage.state] || "");
  if (ACTIVE.includes(stage.state)) mark.append(element("i"));
  else if (stage.state === "waiting") mark.textContent = "·";
  mark.title = stage.state;
  line.append(mark, element("span", "name", stage.title || stage.id), element("span", "amount", amount(stage)));
  const detail = element("div", "detail");
  if (ACTIVE.includes(stage.state) && stage.bytes_total) detail.append(bar(stage.bytes_done || 0, stage.bytes_total));
  // The bytes stand on the right already.
  const message = stage.message.replace(/^[\d.]+ ?[kMGT]?B of [\d.]+ ?[kMGT]?B(, )?/, "");
  const going = stage.state === "running" && stage.rate_bps && !message.includes("/s");
  const rate = going ? size(stage.rate_bps) + "/s" : "";
  const text = [message, rate].filter(Boolean).join(" · ");
  if (text && !TROUBLE.includes(stage.state)) {
    const said = element("div", "message");
    said.append(...prose(text));
    detail.append(said);
  }
  if (TROUBLE.includes(stage.state)) {
    const trouble = element("div", "trouble");
    if (stage.consequence) trouble.append(paragraph("", sentence(stage.consequence)));
    if (stage.message) trouble.append(paragraph("message", sentence(stage.message)));
    if (stage.repair) {
      const repair = element("p", "message", "To repair it, in a terminal of JupyterLab: ");
      repair.append(element("code", "", stage.repair));
      trouble.append(repair);
    }
    detail.append(trouble);
  }
  if (detail.childNodes.length) line.append(detail);
  return line;
}

// Ids of all stages and services that these needs lead to.
function behind(needs, state) {
  const found = new Set();
  const open = [...needs];
  while (open.length) {
    const id = open.pop().replace(/\?$/, "");
    if (found.has(id)) continue;
    found.add(id);
    const next = id.startsWith("service:")
      ? state.services.find((s) => "service:" + s.id === id)
      : state.stages.find((s) => s.id === id);
    if (next) open.push(...next.needs);
  }
  return found;
}

function totals(stages) {
  let done = 0, total = 0, rate = 0;
  for (const stage of stages) {
    if (!stage.bytes_total || stage.state === "skipped") continue;
    total += stage.bytes_total;
    done += stage.state === "done" ? stage.bytes_total : Math.min(stage.bytes_done || 0, stage.bytes_total);
    if (stage.state === "running") rate += stage.rate_bps || 0;
  }
  return { done, total, rate };
}

function whole(stages, progress, over) {
  const bytes = totals(stages);
  find("whole").classList.remove("unknown");
  find("whole").firstElementChild.style.width = (100 * (over ? 1 : progress)).toFixed(1) + "%";
  const rate = bytes.rate ? " · " + size(bytes.rate) + "/s" : "";
  find("amount").textContent = bytes.total ? size(bytes.done) + " of " + size(bytes.total) + rate : "";
  const ended = stages.filter((stage) => ENDED.includes(stage.state)).length;
  find("steps-done").textContent = over || !stages.length ? "" : ended + " of " + stages.length + " steps done";
}

function list(stages) {
  find("steps").hidden = !stages.length;
  find("stages").replaceChildren(...stages.map(item));
}

function link(text, href) {
  const made = element("a", "", text);
  made.href = href;
  return made;
}

function showHolding(state, id) {
  const service = state.services.find((s) => s.id === id);
  if (!service) return;
  const wanted = behind(service.needs, state);
  const stages = state.stages.filter((stage) => wanted.has(stage.id));
  const services = state.services.filter((s) => wanted.has("service:" + s.id));
  const broken = service.state === "failed" || stages.some((s) => s.state === "failed" || s.state === "blocked");
  const needed = service.state === "failed" || (broken && service.state === "waiting" && !!service.consequence);
  // The runner's own line is about the first service.
  const first = state.services[0].id === id && !needed && state.headline;
  const headline = first ? state.headline.text : service.title + (needed ? " cannot start yet" : " is getting ready");
  find("headline").textContent = headline;
  document.title = headline;
  const calm = sentence(service.message) || "This page turns into the app as soon as it answers.";
  const told = needed
    ? [service.consequence, service.message].filter(Boolean).map(sentence).join(" ")
    : calm + " You can work in JupyterLab meanwhile.";
  find("summary").replaceChildren(...prose(told));
  whole(stages, state.progress, service.state === "starting" || service.state === "ready");
  const own = service.state === "failed" ? [service] : [];
  list([...own, ...services, ...stages]);
}

function showPortal(state) {
  const ready = state.phase === "ready";
  const tail = { starting: " JupyterLab is open already.", failed: " JupyterLab stays open." }[state.phase] || "";
  find("summary").replaceChildren(...prose(sentence(state.headline ? state.headline.text : state.phase) + tail));
  find("whole").hidden = ready || state.phase === "degraded";
  whole(state.stages, state.progress, false);
  if (ready) find("amount").textContent = "";
  for (const place of document.querySelectorAll("[data-service]")) {
    const service = state.services.find((s) => s.id === place.dataset.service);
    if (!service) continue;
    const tag = place.querySelector(".tag");
    tag.textContent = service.state;
    tag.className = "tag " + service.state;
    place.querySelector("small").textContent = service.consequence || service.message || "";
  }
  list([...state.services.filter((s) => s.state === "failed"), ...state.stages]);
}

function links() {
  if (holding) {
    find("links").replaceChildren(
      link("Open JupyterLab", lab()),
      link("All places", address(body.dataset.portal, "/")),
      link("Logs", "/.firstlight/logs/"),
    );
    return;
  }
  for (const place of document.querySelectorAll("[data-port]")) {
    place.href = "lab" in place.dataset ? lab() : address(place.dataset.port, place.dataset.path);
  }
  outside.places.forEach(added);
  find("problems").append(...outside.problems.map((text) => paragraph("message", text)));
  find("problems").hidden = !outside.problems.length;
}

// A place of PORTAL_CONFIG: what stands here already takes its name and path, the first time; any other gets a link.
// Several lead to the desktop: what has the wanted name stands for itself, else the desktop does, which comes first.
function added(wanted) {
  const path = "/" + wanted.path.replace(/^\/+/, "");
  const own = wanted.lab ? "[data-lab]" : wanted.port ? "[data-port='" + Number(wanted.port) + "']" : null;
  const same = [...document.querySelectorAll(".place")].filter((one) =>
    own ? one.matches(own) : one.getAttribute("href") === path,
  );
  const called = (one) => one.querySelector("b").textContent === wanted.name;
  let place = same.find(called) || same[0];
  if (!place || (place.classList.contains("named") && !called(place))) {
    place = element("a", "place");
    const text = element("span");
    text.append(element("b"));
    place.append(text);
    find("places").lastElementChild.before(place);
  }
  place.classList.add("named");
  place.querySelector("b").textContent = wanted.name;
  if (wanted.lab) place.href = address(body.dataset.jupyter, outside.base_url + path.slice(1));
  else place.href = wanted.port ? address(wanted.port, path) : path;
}

async function answered() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", redirect: "manual" });
  return answer.headers.get("X-Firstlight") !== "holding";
}

async function turn() {
  let pause = 2000;
  try {
    const answer = await fetch("/.firstlight/state.json", { cache: "no-store" });
    const id = answer.headers.get("X-Firstlight-Service");
    let near = turns % 4 === 3;
    if (answer.status === 401 && !holding) {
      location.reload();
      return;
    }
    if (answer.ok) {
      const state = await answer.json();
      if (holding && id) {
        showHolding(state, id);
        const service = state.services.find((s) => s.id === id);
        near = near || !service || service.state === "ready" || service.state === "starting";
        if (service && service.state === "starting") pause = 1000;
      } else if (!holding) {
        showPortal(state);
      }
    }
    if (holding && near && (await answered())) {
      location.reload();
      return;
    }
  } catch {
    find("summary").textContent = "The machine does not answer; trying again.";
  }
  turns += 1;
  setTimeout(turn, document.hidden ? 5000 : pause);
}

async function begin() {
  try {
    const answer = await fetch("/.firstlight/outside.json", { cache: "no-store" });
    if (answer.ok) outside = await answer.json();
  } catch {
    // Links are then made from this page's own address.
  }
  links();
  turn();
}

begin();
