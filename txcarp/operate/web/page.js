"use strict";
(() => {
  // Text from the network only ever becomes text nodes and attributes of this page's own elements.

  /** Seconds between two questions, at least; and how much longer than an answer they are apart. */
  const PACE = 2, RELAXED = 25;
  /** Seconds until there is no answer, and between two looks at timelines that no event changes. */
  const PATIENCE = 5, LOOK_AGAIN = 30;
  /** Groups from which on the page can be searched; and whose timelines are asked for by name. */
  const MANY = 8;
  /** The most entries in the list of what happened. */
  const LATEST = 25;
  /** Seconds between two announcements to a screen reader. */
  const QUIET = 4;
  const NOTABLE = ["transition", "master", "two-masters"];
  const KINDS = [...NOTABLE, "readiness", "hold", "release", "demotion", "check", "finding",
    "lease-lost", "added", "removed", "reload", "listening"];

  const $ = id => document.getElementById(id);
  const rows = new Map();
  const events = new Map();
  let state = null, summary = "", timelines = new Map(), offset = 0, answered = 0, lost = false;
  let range = 3600, chosen = false, span = [0, 1], source = null, asking = false, timer = 0, looked = 0;
  let dirty = new Set(), dirtyTimer = 0, sayings = [], saidAt = 0, sayTimer = 0;

  // Words and numbers.

  const clock = () => Date.now() / 1000 + offset;
  const pad = number => String(number).padStart(2, "0");
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

  function time(seconds, precise = true) {
    const date = new Date(seconds * 1000);
    const text = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
    return precise ? `${text}:${pad(date.getSeconds())}` : text;
  }

  function day(seconds) {
    const date = new Date(seconds * 1000);
    return `${MONTHS[date.getMonth()]} ${date.getDate()}`;
  }

  function when(seconds, precise = true) {
    const old = clock() - seconds >= 86400 || day(seconds) !== day(clock());
    return old ? `${day(seconds)} ${time(seconds, precise)}` : time(seconds, precise);
  }

  function duration(seconds) {
    if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
    if (seconds < 60) return `${Math.round(seconds)} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
    return `${Math.floor(hours / 24)} days`;
  }

  const nameOf = group => group.title || group.name;
  const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

  // Elements.

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key === "class") element.className = value;
      else if (key === "text") element.textContent = value;
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  /** Change text only if it differs, so that selections and screen readers are not disturbed. */
  function set(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function show(element, isShown) {
    if (element.hidden === isShown) element.hidden = !isShown;
  }

  /** Fill an element anew, if what it is made of differs. */
  function fill(element, key, children) {
    const text = JSON.stringify(key);
    if (element.filled === text) return;
    element.filled = text;
    element.replaceChildren(...children());
  }

  /** A table of words whose rows come later. */
  function table(label, headings) {
    return make("table", {class: "small", "aria-label": label},
      make("thead", {}, make("tr", {}, ...headings.map(one => make("th", {scope: "col", text: one})))),
      make("tbody"));
  }

  /** Change the rows of a table where they differ. A cell is text, or text and whether it is bad. */
  function tell(table, lines) {
    const body = table.tBodies[0];
    while (body.rows.length > lines.length) body.lastChild.remove();
    lines.forEach((cells, index) => {
      const line = body.rows[index] || body.insertRow();
      cells.forEach((cell, column) => {
        const [text, isBad] = Array.isArray(cell) ? cell : [cell, false];
        const shown = line.cells[column] || line.insertCell();
        set(shown, text);
        shown.classList.toggle("bad", isBad);
      });
    });
  }

  // A group.

  function newRow(name, number) {
    const row = {name, open: false};
    row.button = make("button", {type: "button", class: "open", "aria-expanded": "false",
      "aria-controls": `details${number}`});
    row.place = make("span", {class: "sub"});
    row.badge = make("span", {class: "badge"});
    row.since = make("span", {class: "sub"});
    row.notes = make("div", {class: "notes"});
    row.master = make("span", {class: "mono"});
    row.heard = make("span", {class: "sub"});
    row.addresses = make("div");
    row.lease = make("span", {class: "sub"});
    row.timeline = make("div", {class: "timeline", role: "img"});
    row.begin = make("span");
    row.cell = make("td", {role: "cell"}, row.timeline,
      make("div", {class: "ends", "aria-hidden": "true"}, row.begin, make("span", {text: "now"})));
    row.line = make("tr", {role: "row", class: "row"},
      make("th", {role: "rowheader", scope: "row"}, row.button, row.place),
      make("td", {role: "cell"}, row.badge, row.since, row.notes),
      make("td", {role: "cell"}, make("span", {class: "key", text: "Master "}), row.master, row.heard),
      make("td", {role: "cell"}, row.addresses, row.lease), row.cell);
    row.parts = make("div", {class: "parts"});
    row.details = make("tr", {role: "row", class: "details", id: `details${number}`},
      make("td", {role: "cell", colspan: "5"}, row.parts));
    row.details.hidden = true;
    row.button.addEventListener("click", () => openRow(row, !row.open));
    return row;
  }

  function openRow(row, isOpen) {
    row.open = isOpen;
    row.button.setAttribute("aria-expanded", String(isOpen));
    row.line.classList.toggle("opened", isOpen);
    show(row.details, isOpen);
    if (isOpen) {
      showDetails(row);
      explain(row);
    }
  }

  function showGroup(row, group) {
    const age = clock() - group.time;
    row.group = group;
    row.line.classList.toggle("ill", Boolean(group.problem));
    set(row.button, nameOf(group));
    set(row.place, `vhid ${group.vhid} on ${group.interface}`);
    const word = group.holds.length ? "held" : group.role;
    if (row.word && row.word !== word) {
      row.line.classList.remove("changed");
      void row.line.offsetWidth;
      row.line.classList.add("changed");
    }
    row.word = word;
    row.badge.className = `badge ${word.toLowerCase()}`;
    set(row.badge, word);
    const since = group.since === null ? null : group.time - group.since;
    set(row.since, since === null ? "" : `since ${when(since)} (${duration(group.since + age)})`);
    // A hold is a note already, and the other of two masters may be one.
    const why = group.problem && !group.holds.length && group.running ? group.problem : "";
    const notes = group.notes.filter(note => note.text !== why).map(note =>
      note.remaining === null ? note.text :
        `${note.text} until ${when(Math.round(group.time + note.remaining))}`);
    fill(row.notes, [why, notes], () => [
      ...(why ? [make("div", {class: "why", text: why})] : []),
      ...notes.map(text => make("div", {text}))]);
    const isMaster = group.role === "MASTER";
    const peer = masterOf(group);
    set(row.master, isMaster ? "this host" : peer ? peer.source : "nobody");
    row.master.className = isMaster || !peer ? "" : "mono";
    set(row.heard, !isMaster && peer ? `heard ${duration(peer.age)} ago` : "");
    const addresses = group.addresses.map(one => [one.text,
      isMaster && one.held === false ? "not here" : ""]);
    fill(row.addresses, addresses, () => addresses.map(([text, missing]) =>
      make("div", {}, make("span", {class: "mono", text}),
        ...(missing ? [make("span", {class: "missing", text: ` ${missing}`})] : []))));
    const leases = group.addresses.map(one => one.lease).filter(lease => lease !== null);
    set(row.lease, leases.length ? `lease ${Math.min(...leases).toFixed(1)} s` : "");
    if (row.open) showDetails(row);
  }

  /** The host that is master. One with two addresses keeps the one that the timeline has. */
  function masterOf(group) {
    const last = (timelines.get(group.name) || []).at(-1);
    const said = group.peers.find(one => one.source === group.master);
    const known = last && last.who === "other" && group.peers.find(one => one.source === last.master);
    const timing = known && known.timing;
    return said && known && known.age < 3 * (timing.advbase + timing.advskew / 256) ? known : said;
  }

  function part(heading, content, isWide = false) {
    return make("div", isWide ? {class: "wide"} : {}, make("h3", {text: heading}), content);
  }

  /** Make the details once: what is in them changes, and the focus stays where it is. */
  function newDetails(row) {
    const named = (words, headings) => table(`${words} of ${row.name}`, headings);
    row.tables = {
      peers: named("Other hosts", ["Host", "Heard", "advbase", "advskew", "Sealed"]),
      checks: named("Health checks", ["Check", "State", "For", "Last result"]),
      steps: named("Steps of a master", ["Step", "State"]),
      periods: named("Masters", ["From", "For", "Master", "Why"]),
    };
    row.whyText = make("div");
    const scroll = make("div", {class: "scroll", tabindex: "0", role: "region",
      "aria-label": `Who was master of ${row.name}`}, row.tables.periods);
    row.sections = {
      why: part("Why", row.whyText, true),
      peers: part("Other hosts", row.tables.peers),
      checks: part("Health checks", row.tables.checks),
      steps: part("Steps of a master", row.tables.steps),
      periods: part("Who was master", scroll, true),
    };
    row.parts.append(...Object.values(row.sections));
  }

  function showDetails(row) {
    const group = row.group, periods = timelines.get(group.name) || [];
    if (!row.tables) newDetails(row);
    const {tables, sections} = row, why = row.why || [];
    fill(row.whyText, why, () => why.map(text => make("p", {text})));
    show(sections.why, why.length > 0);
    tell(tables.peers, [...group.peers].reverse().map(one => [one.source,
      `${duration(one.age)} ago`, String(one.timing.advbase), String(one.timing.advskew),
      one.sealed ? "yes" : "no"]));
    show(sections.peers, group.peers.length > 0);
    tell(tables.checks, group.checks.map(one => [one.name,
      one.health === "good" ? "good" : [`${one.health}: ${one.consequence}`, true],
      duration(one.since), one.text]));
    show(sections.checks, group.checks.length > 0);
    tell(tables.steps, group.steps.map(one => [one.name, [one.explanation, one.state === "failed"]]));
    show(sections.steps, group.steps.some(one => one.state !== "waiting"));
    tell(tables.periods, periods.map((one, index) => [when(one.begin),
      duration((index + 1 < periods.length ? periods[index + 1].begin : answered) - one.begin),
      [one.label, ["nobody", "both"].includes(one.who)], one.explanation]).reverse());
  }

  async function explain(row) {
    try {
      const path = `v1/groups/${encodeURIComponent(row.name)}/explain`;
      const lines = (await ask(path)).lines;
      // The first line is the headline, and the history follows, indented.
      row.why = lines.slice(1).filter(line => !line.startsWith(" "));
      if (row.open) showDetails(row);
    } catch {
      // The next answer to another question says whether there is none at all.
    }
  }

  // The timeline.

  function showTimelines() {
    const now = clock();
    let begin = now - range;
    if (!range) {
      const first = [...timelines.values()].map(periods => periods.length ? periods[0].begin : now);
      begin = Math.min(now - 60, ...first);
    }
    span = [begin, now];
    showAxis();
    for (const row of rows.values()) showTimeline(row);
  }

  function showAxis() {
    const [begin, now] = span, length = now - begin;
    const steps = [10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
    const step = steps.find(one => length / one <= 6) || Math.ceil(length / 6 / 86400) * 86400;
    const shift = new Date(now * 1000).getTimezoneOffset() * 60;
    const first = Math.ceil((begin - shift) / step) * step + shift;
    const width = widthOf(), style = $("table").style;
    style.setProperty("--step", `${step / length * width}px`);
    style.setProperty("--first", `${(first - begin) / length * width}px`);
    const marks = [];
    const room = 34 / width * length;  // half of a label, in seconds
    for (let at = first; at < now - 2 * room; at += step) {
      if (at > begin + room / 2) marks.push(at);
    }
    fill($("axis"), [marks, Math.round(now)], () => {
      const label = at => step >= 86400 ? day(at) : time(at, step < 60);
      return [...marks.map(at => placed(make("span", {text: label(at)}), at)),
        placed(make("span", {text: "now"}), now - length * .02)];
    });
  }

  function placed(element, at) {
    element.style.left = `${(at - span[0]) / (span[1] - span[0]) * 100}%`;
    return element;
  }

  function widthOf() {
    for (const row of rows.values()) {
      if (row.timeline.clientWidth) return row.timeline.clientWidth;
    }
    return 600;
  }

  function showTimeline(row) {
    const [begin, now] = span, length = now - begin, end = lost ? answered : now;
    const periods = row.group ? timelines.get(row.group.name) || [] : [];
    const shown = [], sums = new Map();
    periods.forEach((one, index) => {
      const from = Math.max(begin, one.begin);
      const to = Math.min(end, index + 1 < periods.length ? periods[index + 1].begin : end);
      if (to <= begin || to < from) return;
      shown.push([one.who, from, to, one.label]);
      const sum = sums.get(one.label) || [0, 0, one.who];
      sums.set(one.label, [sum[0] + to - from, sum[1] + 1, one.who]);
    });
    if (!periods.length || periods[0].begin > begin) {
      shown.unshift(["unknown", begin, periods.length ? Math.min(periods[0].begin, end) : end, ""]);
    }
    if (lost) shown.push(["lost", Math.max(begin, answered), now, "no answer"]);
    const width = row.timeline.clientWidth || 600;
    while (row.timeline.children.length > shown.length) row.timeline.lastChild.remove();
    shown.forEach(([who, from, to, label], index) => {
      let element = row.timeline.children[index];
      if (!element) {
        element = make("div", {}, make("span"));
        row.timeline.append(element);
      }
      const part = (to - from) / length;
      element.className = `period ${who}`;
      element.style.left = `${(from - begin) / length * 100}%`;
      element.style.width = `${part * 100}%`;
      const words = who === "unknown" ? "" : label;
      const fits = words && part * width > words.length * 6.8 + 14;
      set(element.firstChild, fits ? words : "");
      show(element.firstChild, Boolean(fits));
      element.title = who === "unknown" ? `unknown, ${when(from)} to ${when(to)}` :
        `${label}, ${when(from)} to ${when(to)} (${duration(to - from)})`;
    });
    const spoken = [...sums].map(([label, [sum, count, who]]) =>
      `${label} ${duration(sum)}${who === "nobody" ? ` in ${plural(count, "gap")}` : ""}`);
    const words = `Timeline of ${row.name}, the last ${duration(length)}: ${spoken.join(", ") || "unknown"}`;
    if (row.timeline.getAttribute("aria-label") !== words) row.timeline.setAttribute("aria-label", words);
    set(row.begin, `${duration(length)} ago`);
  }

  // The whole page.

  function showState(document) {
    state = document;
    const groups = document.groups, ill = groups.filter(group => group.problem);
    set($("host"), document.host);
    set($("version"), `txcarp ${document.version} on ${document.host}`);
    const words = ill.length ? `${ill.length} of ${plural(groups.length, "group")} ` +
      `${ill.length === 1 ? "needs" : "need"} attention` :
      groups.length === 1 ? "The group is in order" :
      groups.length ? `All ${groups.length} groups are in order` : "There are no groups";
    summary = words;
    showSummary();
    $("summary").className = ill.length ? "ill" : groups.length ? "well" : "";
    const named = ill.slice(0, 5).map(group => `${nameOf(group)}: ${group.problem}`);
    if (ill.length > 5) named.push(`and ${ill.length - 5} more`);
    fill($("problems"), named, () => named.map(text => make("li", {text})));
    show($("problems"), ill.length > 0);
    const file = document.configuration ? document.configuration.explanation : "";
    set($("file"), file);
    show($("file"), Boolean(file));
    show($("filters"), groups.length > MANY);
    $("table").classList.toggle("dense", groups.length > 2 * MANY);
    const known = new Set(groups.map(group => group.name));
    for (const [name, row] of rows) {
      if (!known.has(name)) {
        row.line.remove();
        row.details.remove();
        rows.delete(name);
      }
    }
    let added = false;
    for (const group of groups) {
      let row = rows.get(group.name);
      if (!row) {
        row = newRow(nameOf(group), newRow.count = (newRow.count || 0) + 1);
        rows.set(group.name, row);
        added = true;
      }
      row.name = nameOf(group);
      showGroup(row, group);
    }
    if (added) {
      const order = groups.map(group => rows.get(group.name));
      $("rows").replaceChildren(...order.flatMap(row => [row.line, row.details]));
      if (groups.length === 1) openRow(order[0], true);
    }
    filter();
    collect(groups);
    showTitle();
  }

  function showSummary() {
    set($("summary"), lost ? `${summary} (as of ${when(answered)})` : summary);
  }

  function showTitle() {
    const sign = lost ? "✕ no answer" : $("summary").className === "ill" ? `▲ ${summary}` :
      `● ${summary}`;
    const title = `${sign} – ${state ? state.host : ""} – txcarp`;
    if (document.title !== title) document.title = title;
  }

  function filter() {
    const words = $("find").value.trim().toLowerCase(), only = $("only").checked;
    let count = 0;
    for (const row of rows.values()) {
      const group = row.group;
      const text = [nameOf(group), group.name, group.interface, group.master, group.role,
        ...group.addresses.map(one => one.text)].join(" ").toLowerCase();
      const fits = (!only || group.problem) && text.includes(words);
      show(row.line, Boolean(fits));
      show(row.details, Boolean(fits) && row.open);
      count += fits ? 1 : 0;
    }
    show($("none"), !count && rows.size > 0);
    set($("groupsheading"), count === rows.size ? "Groups" : `Groups (${count} of ${rows.size})`);
  }

  /** The last changes of all groups; the server keeps them, so that they are there at the start. */
  function collect(groups) {
    for (const group of groups) {
      for (const one of group.changes) {
        note(group.time - one.age, nameOf(group),
          `${one.change.previous} → ${one.change.role}: ${one.change.explanation}`);
      }
      for (const one of group.history) {
        note(group.time - one.age, nameOf(group), one.occurrence.explanation);
      }
    }
    showLatest();
  }

  function note(at, group, text) {
    const words = text.replace("->", "→");
    // The same event may be told twice, with times that differ a little.
    for (const slot of [Math.round(at * 5), Math.round(at * 5) - 1, Math.round(at * 5) + 1]) {
      if (events.has(`${slot} ${group} ${words}`)) return;
    }
    events.set(`${Math.round(at * 5)} ${group} ${words}`, [at, group, words]);
  }

  function showLatest() {
    const sorted = [...events].sort((one, other) => other[1][0] - one[1][0]);
    for (const [key] of sorted.splice(400)) events.delete(key);
    const latest = sorted.slice(0, LATEST).map(([, event]) => event);
    fill($("latest"), latest.map(one => one.slice(1)), () => latest.map(([at, group, text]) =>
      make("li", {}, make("span", {class: "at", text: when(at)}),
        make("span", {class: "group", text: group}), make("span", {class: "what", text}))));
  }

  // Asking.

  async function ask(path) {
    const cut = new AbortController();
    const alarm = setTimeout(() => cut.abort(), PATIENCE * 1000);
    try {
      const answer = await fetch(path, {signal: cut.signal, cache: "no-store"});
      if (!answer.ok) throw new Error(String(answer.status));
      return await answer.json();
    } finally {
      clearTimeout(alarm);
    }
  }

  async function refresh() {
    if (asking || document.hidden) return;
    asking = true;
    clearTimeout(timer);
    const begun = performance.now();
    try {
      const found = await ask("v1/status");
      offset = found.time - Date.now() / 1000;
      const wasLost = lost;
      answered = found.time;
      reachable(true);
      showState(found);
      if (wasLost || clock() - looked > LOOK_AGAIN) await look([]);
      for (const row of [...rows.values()].filter(one => one.open && !one.line.hidden).slice(0, 4)) {
        await explain(row);
      }
      showTimelines();
    } catch {
      reachable(false);
      if (rows.size) showTimelines();
    }
    asking = false;
    const took = (performance.now() - begun) / 1000;
    timer = setTimeout(refresh, Math.max(PACE, lost ? 0 : took * RELAXED) * 1000);
    if (!lost && (!source || source.readyState === EventSource.CLOSED)) listen();
  }

  /** Ask for the timelines of some groups, or of all. */
  async function look(names) {
    const query = names.map(name => `group=${encodeURIComponent(name)}`).join("&");
    const found = await ask(query ? `v1/timeline?${query}` : "v1/timeline");
    if (!query) {
      timelines = new Map();
      looked = found.time;
    }
    for (const group of found.groups) timelines.set(group.name, group.periods);
    if (!chosen) {
      const first = Math.min(found.time, ...[...timelines.values()].map(periods =>
        periods.length ? periods[0].begin : found.time));
      const age = found.time - first;
      choose(age < 900 ? 0 : age < 3600 ? 900 : 3600);
    }
    showTimelines();
  }

  function reachable(isThere) {
    lost = !isThere;
    document.body.classList.toggle("stale", lost);
    const link = $("link");
    if (isThere) {
      link.className = "link live";
      set($("linktext"), "Live");
    } else {
      const since = answered ? ` since ${when(answered)}` : "";
      link.className = "link gone";
      set($("linktext"), `No answer${since}`);
      const host = state ? `txcarp on ${state.host}` : "txcarp";
      set($("lost"), `${host} has given no answer${since}.` +
        (answered ? " What you see is from then, and may be wrong now." : "") +
        " This page goes on asking.");
    }
    show($("lost"), lost);
    if (state) showSummary();
    showTitle();
  }

  function listen() {
    source = new EventSource("v1/events");
    for (const kind of KINDS) source.addEventListener(kind, heard);
  }

  function heard(message) {
    const event = JSON.parse(message.data);
    if (event.event === "listening") {
      schedule(null);
      return;
    }
    if (event.group && event.event !== "readiness") note(event.time, event.group, event.text);
    schedule(event.group);
    if (NOTABLE.includes(event.event)) say(`${event.group}: ${event.text}`);
  }

  /** Ask about a group soon; several events make one question. */
  function schedule(group) {
    dirty.add(group);
    if (!dirtyTimer) {
      dirtyTimer = setTimeout(async () => {
        const names = dirty.has(null) || dirty.size > MANY ? [] : [...dirty];
        dirty = new Set();
        dirtyTimer = 0;
        try {
          await look(names);
        } catch {
          looked = 0;  // a group may be gone
        }
        refresh();
      }, 300);
    }
  }

  /** Tell a screen reader, not too often. */
  function say(text) {
    sayings.push(text);
    if (!sayTimer) {
      const wait = Math.max(.5, QUIET - (performance.now() / 1000 - saidAt));
      sayTimer = setTimeout(() => {
        const more = sayings.length > 3 ? ` And ${sayings.length - 3} more changes.` : "";
        set($("said"), sayings.slice(0, 3).join(". ") + "." + more);
        sayings = [];
        sayTimer = 0;
        saidAt = performance.now() / 1000;
      }, wait * 1000);
    }
  }

  function choose(seconds) {
    range = seconds;
    for (const input of document.getElementsByName("range")) {
      input.checked = Number(input.value) === seconds;
    }
  }

  for (const input of document.getElementsByName("range")) {
    input.addEventListener("change", () => {
      range = Number(input.value);
      chosen = true;
      showTimelines();
    });
  }
  $("find").addEventListener("input", () => { filter(); showTimelines(); });
  $("only").addEventListener("change", () => { filter(); showTimelines(); });
  let resizing = 0;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(showTimelines, 150);
  });
  // A page that nobody sees asks for nothing, and leaves its place among the readers to others.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      if (source) source.close();
      source = null;
    } else {
      looked = 0;
      refresh();
    }
  });
  choose(range);
  refresh();
})();
