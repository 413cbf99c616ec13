/** The page: one picture at a time, from being given it to its label being kept by the server. */

import type { Given, Said, Who } from "./api";
import { Api, Refused, Unreached } from "./api";
import * as drafts from "./drafts";
import type { History } from "./history";
import * as history from "./history";
import { list } from "./list";
import type { Pixel, Point, Points, Size } from "./points";
import { accepted, asLabel, certain, change, exchanged, moved, titleOf, toggled } from "./points";
import { sides } from "./sides";
import { Viewer } from "./viewer";
import type { Grey, Window } from "./window";
import { automatic } from "./window";

const TOKEN = "skiagraph.token";
const RENEWED = 5 * 60_000;
const IDLE = 15 * 60_000;
const SLOWEST = 30_000;

interface Work {
  readonly given: Given;
  readonly grey: Grey;
  readonly after: number;
  readonly weights: number;
  readonly before: number;
  readonly began: number;
}

class Stopped extends Error {}

const at = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const button = (id: string) => at<HTMLButtonElement>(id);

let api = new Api("");
let who: Who = { name: "", role: "" };
let work: Work | null = null;
let past: History<Points> = history.begin([]);
let live: Points | null = null;
let selected: string | null = null;
let hidden = false;
let busy = false;
let window_: Window = { level: 32768, width: 65536, inverted: false };
let until = 0;
let touched = Date.now();
let trial = 0;

const viewer = new Viewer(at("view"), {
  selected: (name) => choose(name, false),
  moved: drag,
  windowed: (level, width) => look({ ...window_, level: window_.level + level, width: window_.width + width }),
  placed: (to) => selected && edit((points, size) => moved(points, selected!, to, size)),
});

// what is shown

function points(): Points {
  return live ?? past.now;
}

function show(): void {
  const now = points();
  const where = sides(now);
  viewer.show(now, selected, hidden);
  list(at("list"), now, selected, where.odd, { choose: (name) => choose(name, true), toggle });
  const open = now.filter((point) => point.origin === "proposed").length;
  at("left").textContent = busy ? "Waiting for the server…" : open ? `${open} of ${now.length} to accept or move` : "All points are accepted or moved";
  button("submit").setAttribute("aria-disabled", String(busy || open > 0));
  for (const id of ["accept", "skip", "again", "exchange"]) button(id).disabled = busy;
  button("accept").disabled ||= open === 0;
  button("undo").disabled = busy || past.past.length === 0;
  button("redo").disabled = busy || past.future.length === 0;
  button("hide").setAttribute("aria-pressed", String(hidden));
  button("hide").textContent = hidden ? "Show" : "Hide";
  showSides(where.left, where.odd.size);
}

function showSides(left: "image right" | "image left" | "unknown", odd: number): void {
  const [onLeft, onRight] = left === "unknown" ? ["?", "?"] : left === "image right" ? ["R", "L"] : ["L", "R"];
  at("side-left").textContent = onLeft!;
  at("side-right").textContent = onRight!;
  const usual = left === "image right" && odd === 0;
  for (const id of ["side-left", "side-right", "sides"]) at(id).classList.toggle("doubt", !usual);
  const told = {
    "image right": "Patient's left is on the image's right, by the points.",
    "image left": "Patient's left is on the image's LEFT, by the points: is the picture mirrored or taken from behind?",
    unknown: "No pair of points tells which side is which.",
  }[left];
  at("sides").textContent = odd ? `${told} ${odd} points say otherwise.` : told;
  button("exchange").hidden = usual;
}

function phase(name: "sign-in" | "idle" | "work"): void {
  for (const id of ["sign-in", "idle", "work"]) at(id).hidden = id !== name;
  button("sign-out").hidden = name === "sign-in";
  if (name !== "work") at("picture").textContent = "";
  if (name === "sign-in") at("token").focus();
  if (name === "idle") button("next").focus();
}

function say(text: string): void {
  at("status").textContent = text;
}

function warn(text: string | null): void {
  at("alert").hidden = text === null;
  at("alert").textContent = text ?? "";
}

function look(wanted: Window): void {
  const within = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);
  window_ = { ...wanted, level: within(wanted.level, 0, 65535), width: within(wanted.width, 256, 65536) };
  at<HTMLInputElement>("level").value = String(65535 - window_.level);
  at<HTMLInputElement>("width").value = String(65792 - window_.width);
  button("invert").setAttribute("aria-pressed", String(window_.inverted));
  viewer.look(window_);
}

// what is done to the points

function edit(how: (points: Points, size: Size) => Points): void {
  if (work === null || busy) return;
  live = null;
  past = history.next(past, how(past.now, [work.grey.rows, work.grey.columns]));
  keep();
  show();
}

function drag(name: string, to: Pixel, done: boolean): void {
  if (work === null || busy) return;
  const was = past.now.find((point) => point.name === name)?.uv;
  if (done && live !== null) {
    const now = live;
    edit(() => now);
  } else if (!done && was && (live !== null || Math.hypot(to[0] - was[0], to[1] - was[1]) > 0)) {
    live = moved(past.now, name, to, [work.grey.rows, work.grey.columns]);
    show();
  }
}

function choose(name: string | null, bring: boolean): void {
  selected = name;
  const point = past.now.find((one) => one.name === name);
  if (bring && point?.visible && point.uv) viewer.toward(point.uv);
  show();
  if (bring) document.querySelector(`[data-row="${CSS.escape(name ?? "")}"]`)?.scrollIntoView({ block: "nearest" });
}

function step(by: 1 | -1): void {
  const names = past.now.map((point) => point.name);
  const from = selected === null ? (by > 0 ? -1 : 0) : names.indexOf(selected);
  choose(names[(from + by + names.length) % names.length] ?? null, true);
}

function toggle(name: string): void {
  edit((now) => toggled(now, name, viewer.middle()));
  choose(name, false);
}

function nudge(du: number, dv: number): void {
  const point = past.now.find((one) => one.name === selected);
  if (!point?.visible || !point.uv) return;
  const [u, v] = point.uv;
  edit((now, size) => moved(now, point.name, [u + du, v + dv], size));
}

function travel(how: <T>(from: History<T>) => History<T>): void {
  if (busy) return;
  past = how(past);
  keep();
  show();
}

function keep(): void {
  if (work === null) return;
  const { given, after, weights } = work;
  const done = drafts.keep(who.name, { given, points: past.now, after, weights, seconds: seconds() });
  say(done ? `Draft kept ${new Date().toLocaleTimeString([], { timeStyle: "short" })}` : "This browser keeps no drafts: submit before you leave");
}

function seconds(): number {
  return work === null ? 0 : Math.round(work.before + (Date.now() - work.began) / 1000);
}

// what the server is asked

/** Asks until an answer comes, and says so; what is refused is the caller's. */
async function reach<T>(ask: () => Promise<T>): Promise<T> {
  const mine = ++trial;
  for (let wait = 2000; ; wait = Math.min(2 * wait, SLOWEST)) {
    try {
      const answer = await ask();
      if (mine !== trial) throw new Stopped();
      warn(null);
      return answer;
    } catch (error) {
      if (mine !== trial) throw new Stopped();
      if (!(error instanceof Unreached)) throw error;
      warn(`No connection to the server. Your points are kept in this browser; it is tried again every few seconds. (${error.message})`);
      await Promise.race([
        new Promise((done) => setTimeout(done, wait)),
        new Promise((done) => globalThis.addEventListener("online", done, { once: true })),
      ]);
      if (mine !== trial) throw new Stopped();
    }
  }
}

/** Does something with the server while nothing else may be; what goes wrong is told. */
async function during(what: string, act: () => Promise<void>): Promise<void> {
  if (busy) return;
  busy = true;
  say(what);
  if (work !== null) show();
  try {
    await act();
  } catch (error) {
    if (error instanceof Stopped) return;
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) leave("The token is not valid any more. Sign in again; your draft is kept.");
    else warn(`The server refuses: ${error.message}`);
  } finally {
    busy = false;
    if (work !== null) show();
  }
}

async function enter(token: string): Promise<void> {
  warn(null);
  busy = false;
  await during("Signing in…", async () => {
    api = new Api(token);
    try {
      who = await reach(() => api.who());
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 401) throw error;
      leave("Wrong token: the server knows nobody by it.");
      return;
    }
    sessionStorage.setItem(TOKEN, token);
    at<HTMLInputElement>("token").value = "";
    at("who").textContent = `${who.name} (${who.role})`;
    if (who.role === "reader") {
      warn("Your role is reader; saving labels asks for an annotator. Ask whoever runs the server.");
      return;
    }
    const names = await reach(() => api.strategies());
    at("strategy").replaceChildren(...names.map((name) => new Option(name, name, name === "hybrid", name === "hybrid")));
    say("");
    phase("idle");
  });
  const draft = drafts.kept(who.name);
  if (who.role !== "" && who.role !== "reader" && draft !== null) await resume(draft);
}

function leave(why: string | null): void {
  trial++;
  sessionStorage.removeItem(TOKEN);
  api = new Api("");
  who = { name: "", role: "" };
  finish();
  at("who").textContent = "";
  say("");
  phase("sign-in");
  warn(why);
}

function finish(): void {
  work = null;
  live = null;
  past = history.begin([]);
  viewer.close();
}

async function next(): Promise<void> {
  await during("Choosing a picture…", async () => {
    const given = await reach(() => api.next(at<HTMLSelectElement>("strategy").value));
    if (given.id === undefined) {
      phase("idle");
      at("idle-note").textContent = "There is no picture left for you: all are labelled, or others are reading them.";
      say("");
      return;
    }
    await open(given as Given, null);
  });
}

async function resume(draft: drafts.Draft): Promise<void> {
  await during("Opening your draft…", async () => {
    try {
      const { lease_until } = await reach(() => api.renew(draft.given.id));
      await open({ ...draft.given, lease_until }, draft);
    } catch (error) {
      if (error instanceof Refused && error.status === 404) drafts.forget(who.name);
      if (!(error instanceof Refused) || error.status !== 409) throw error;
      const go = await choice("Your draft's picture is with somebody else", "The lease ran out and another annotator was given it. Your points are still kept here.", ["Go on with my draft", "Drop it and take another picture"]);
      if (go === 0) await open(draft.given, draft);
      else drafts.forget(who.name);
    }
  });
  if (work === null && drafts.kept(who.name) === null) await next();
}

async function open(given: Given, draft: drafts.Draft | null): Promise<void> {
  phase("work");
  finish();
  at("picture").textContent = given.id;
  at("veil").textContent = "Opening the picture…";
  until = given.lease_until;
  const grey = await reach(() => api.picture(given.id));
  window_ = automatic(grey);
  viewer.open(grey, window_);
  look(window_);
  at("veil").textContent = draft ? "" : "Looking for landmarks…";
  const [start, weights, after] = draft ? [draft.points, draft.weights, draft.after] : await begin(given.id);
  work = { given, grey, after, weights, before: draft?.seconds ?? 0, began: Date.now() };
  past = history.begin(start);
  at("veil").textContent = "";
  at("idle-note").textContent = "You are given a picture that nobody else is reading.";
  leased();
  choose(null, false);
  keep();
  if (draft) say("Your draft was found again; it is not submitted yet");
}

async function begin(image: string): Promise<[Points, number, number]> {
  const versions = await reach(() => api.versions(image));
  const found = await reach(() => api.infer(image, {}));
  const own = versions.findLast((one) => one.author === who.name && one.event === "saved" && one.tag === "final");
  const proposed = found.landmarks.map((one): Point => ({ ...plain(one), origin: "proposed" }));
  return [own ? mine(proposed, own) : proposed, found.weights, versions.at(-1)?.version ?? 0];
}

function plain({ name, uv, confidence, visible }: { name: string; uv: Pixel; confidence: number; visible: boolean }) {
  return { name, uv: uv.every(Number.isFinite) ? uv : null, confidence, visible: visible && uv.every(Number.isFinite) };
}

/** What was found, with what the reader himself said of the picture before. */
function mine(found: Points, said: Said): Points {
  return said.points.reduce((now, { name, uv }) => change(now, name, (point) => ({ uv: uv ?? point.uv, visible: uv !== null, origin: "moved" })), found);
}

function leased(): void {
  if (work === null) return;
  const time = new Date(1000 * until).toLocaleTimeString([], { timeStyle: "short" });
  at("why").textContent = `Why this picture: ${work.given.reason} (${work.given.strategy}). Yours until ${time}.`;
}

async function again(): Promise<void> {
  const now = work;
  if (now === null) return;
  await during("Looking again…", async () => {
    const found = await reach(() => api.infer(now.given.id, certain(past.now)));
    const fresh = new Map(found.landmarks.map((one) => [one.name, one]));
    past = history.next(past, past.now.map((point) => {
      const one = fresh.get(point.name);
      return point.origin === "proposed" && one ? { ...plain(one), origin: "proposed" as const } : point;
    }));
  });
  keep();
}

async function submit(after: number | null = work?.after ?? null): Promise<void> {
  const now = work;
  if (now === null || past.now.some((point) => point.origin === "proposed")) {
    const first = past.now.find((point) => point.origin === "proposed");
    if (first) choose(first.name, true);
    return;
  }
  keep();
  let done = false;
  let conflict: Refused | null = null;
  await during("Saving…", async () => {
    const changed = past.now.filter((point) => point.origin === "moved").length;
    const about = { client: "page", seconds: seconds(), changed, weights: now.weights, strategy: now.given.strategy };
    try {
      const { version } = await reach(() => api.save(now.given.id, asLabel(past.now), after, about));
      drafts.forget(who.name);
      say(`Saved ${now.given.id}, version ${version}`);
      done = true;
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 409) throw error;
      conflict = error;
    }
  });
  if (conflict !== null) await settle(now, conflict);
  if (done) {
    finish();
    await next();
  }
}

/** Somebody else has saved the picture meanwhile: both are kept, or ours is dropped. */
async function settle(now: Work, conflict: Refused): Promise<void> {
  let versions: Said[] = [];
  await during("Looking at what was saved…", async () => void (versions = await reach(() => api.versions(now.given.id))));
  const theirs = versions.findLast((one) => one.author !== who.name && one.event === "saved");
  const go = await choice("This picture has been saved meanwhile", `${conflict.message}. ${theirs ? apart(theirs) : ""}`, ["Save mine as well, as a second reading", "Leave theirs and drop mine", "Back to the picture"]);
  if (go === 0) await submit(null);
  if (go === 1) await skip();
}

function apart(theirs: Said): string {
  const other = new Map(theirs.points.map((one) => [one.name, one.uv]));
  const far = past.now.flatMap((point): [string, number][] => {
    const uv = other.get(point.name);
    return point.visible && point.uv && uv ? [[point.name, Math.hypot(point.uv[0] - uv[0], point.uv[1] - uv[1])]] : [];
  });
  const [name, most] = far.sort((a, b) => b[1] - a[1])[0] ?? ["", 0];
  return name ? `You are farthest apart at ${titleOf(name)}: ${most.toFixed(1)} pixels.` : "";
}

async function skip(): Promise<void> {
  const now = work;
  if (now === null) return;
  await during("Leaving it to others…", async () => {
    await reach(() => api.giveBack(now.given.id));
    drafts.forget(who.name);
    finish();
    phase("idle");
    say(`Skipped ${now.given.id}`);
  });
}

async function skipped(): Promise<void> {
  const changed = past.now.some((point) => point.origin !== "proposed");
  if (changed && (await choice("Skip this picture?", "What you did to its points is dropped.", ["Skip it", "Back to the picture"])) !== 0) return;
  await skip();
}

async function renew(): Promise<void> {
  if (work === null || busy || Date.now() - touched > IDLE) return;
  try {
    until = (await api.renew(work.given.id)).lease_until;
    leased();
  } catch (error) {
    if (error instanceof Refused && error.status === 409) warn("Another annotator was given this picture after your time on it ran out. You may still submit: both readings are kept.");
  }
}

// what is asked of the reader

function choice(title: string, text: string, choices: readonly string[]): Promise<number> {
  const dialog = at<HTMLDialogElement>("ask");
  at("ask-title").textContent = title;
  at("ask-text").textContent = text;
  return new Promise((resolve) => {
    let taken = choices.length - 1;
    at("ask-choices").replaceChildren(...choices.map((words, number) => {
      const one = document.createElement("button");
      one.type = "button";
      one.textContent = words;
      one.className = number === 0 ? "main" : "";
      one.addEventListener("click", () => {
        taken = number;
        dialog.close();
      });
      return one;
    }));
    dialog.addEventListener("close", () => resolve(taken), { once: true });
    dialog.showModal();
  });
}

const far = (event: KeyboardEvent) => (event.shiftKey ? 10 : event.altKey ? 0.25 : 1);
type Key = readonly [keys: readonly string[], words: string, act: (event: KeyboardEvent) => unknown];
const SINGLE: readonly Key[] = [
  [["n", " "], "next point", () => step(1)],
  [["p"], "previous point", () => step(-1)],
  [["Enter"], "accept the point, go to the next", () => { if (selected) edit((now) => accepted(now, selected!)); step(1); }],
  [["ArrowLeft"], "move by a pixel; Shift: 10, Alt: ¼", (event) => nudge(-far(event), 0)],
  [["ArrowRight"], "", (event) => nudge(far(event), 0)],
  [["ArrowUp"], "", (event) => nudge(0, -far(event))],
  [["ArrowDown"], "", (event) => nudge(0, far(event))],
  [["v"], "in the picture or not", () => selected && toggle(selected)],
  [["h"], "hide or show all points", () => { hidden = !hidden; show(); }],
  [["a"], "accept all", () => edit((now) => accepted(now))],
  [["r"], "find the rest again", () => again()],
  [["x"], "exchange left and right", () => edit(exchanged)],
  [["s"], "skip the picture", () => skipped()],
  [["i"], "invert", () => look({ ...window_, inverted: !window_.inverted })],
  [["[", "]"], "darker, brighter", (event) => look({ ...window_, level: window_.level + (event.key === "[" ? 1500 : -1500) })],
  [["{", "}"], "less contrast, more", (event) => look({ ...window_, width: window_.width * (event.key === "{" ? 1.1 : 1 / 1.1) })],
  [["w"], "window as at first", () => work && look(automatic(work.grey))],
  [["+", "="], "closer", () => viewer.zoom(0.5)],
  [["-"], "farther", () => viewer.zoom(-0.5)],
  [["0"], "whole picture", () => viewer.fit()],
  [["?"], "this list", () => at<HTMLDialogElement>("help").showModal()],
];
const WITH_CONTROL: readonly Key[] = [
  [["Enter"], "submit", () => submit()],
  [["z"], "undo", () => travel(history.undo)],
  [["y", "Z"], "redo", () => travel(history.redo)],
];

function pressed(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (work === null || document.querySelector("dialog[open]") || target.matches("input:not([type=range]), select")) return;
  const control = event.ctrlKey || event.metaKey;
  const own = target.matches("button, input") && (["Enter", " "].includes(event.key) || (target.matches("input") && event.key.startsWith("Arrow")));
  if (!control && (own || !at<HTMLInputElement>("single").checked)) return;
  const key = (control ? WITH_CONTROL : SINGLE).find(([keys]) => keys.includes(event.key));
  if (key === undefined) return;
  event.preventDefault();
  key[2](event);
}

function wire(): void {
  const clicks: Record<string, () => unknown> = {
    next, again, fit: () => viewer.fit(), submit: () => submit(), skip: skipped,
    accept: () => edit((now) => accepted(now)), exchange: () => edit(exchanged),
    undo: () => travel(history.undo), redo: () => travel(history.redo),
    hide: () => { hidden = !hidden; show(); },
    invert: () => look({ ...window_, inverted: !window_.inverted }),
    reset: () => work && look(automatic(work.grey)),
    closer: () => viewer.zoom(0.5), farther: () => viewer.zoom(-0.5),
    "sign-out": () => leave(null),
    "help-open": () => at<HTMLDialogElement>("help").showModal(),
    "help-close": () => at<HTMLDialogElement>("help").close(),
  };
  for (const [id, act] of Object.entries(clicks)) button(id).addEventListener("click", () => void act());
  at("level").addEventListener("input", () => look({ ...window_, level: 65535 - at<HTMLInputElement>("level").valueAsNumber }));
  at("width").addEventListener("input", () => look({ ...window_, width: 65792 - at<HTMLInputElement>("width").valueAsNumber }));
  at("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    void enter(at<HTMLInputElement>("token").value.trim());
  });
  document.addEventListener("keydown", pressed);
  for (const kind of ["keydown", "pointerdown"]) document.addEventListener(kind, () => (touched = Date.now()), true);
  globalThis.addEventListener("resize", () => viewer.fit());
  globalThis.addEventListener("offline", () => warn("This computer is offline. Go on: your points are kept in this browser."));
  globalThis.addEventListener("online", () => warn(null));
  setInterval(() => void renew(), RENEWED);
  at("keys").replaceChildren(...[...SINGLE.map((key) => ["", ...key] as const), ...WITH_CONTROL.map((key) => ["Ctrl ", ...key] as const)].filter(([, , words]) => words).flatMap(([first, keys, words]) => {
    const [term, meaning] = [document.createElement("dt"), document.createElement("dd")];
    term.append(...keys.flatMap((key) => {
      const cap = document.createElement("kbd");
      cap.textContent = first + (key === " " ? "Space" : key === "Z" ? "Shift Z" : key === "ArrowLeft" ? "Arrows" : key);
      return [cap, " "];
    }));
    meaning.textContent = words;
    return [term, meaning];
  }));
}

wire();
const token = sessionStorage.getItem(TOKEN);
if (token === null) phase("sign-in");
else void enter(token);
