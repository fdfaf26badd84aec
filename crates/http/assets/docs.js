// Shows the OpenAPI document beside it. Everything is built as text nodes: nothing from the document is taken for markup.
const WORDS = {
  en: {
    title: "API reference", search: "Search operations ( / )", nav: "Operations",
    intro: "Every operation is the same at each of its doors; only address, credentials and envelope differ. An answer of an operation has HTTP status 200, and its code tells success (0) from failure. A call that fails changes nothing, and its message names every bad field with its path.",
    document: "OpenAPI document", more: "Reference", native: "Native", gateway: "Gateway", esb: "ESB", doors: "Doors", ways: "Ways to it", rights: "Rights", needs: "Needed rights",
    open: "Open to every known caller.", parameters: "Parameters", request: "Request body", requestAbout: "JSON. Fields may be left out, and null is the same as absent, unless marked as required.",
    noBody: "None.", response: "Answer", failure: "On failure", statuses: "Other statuses", example: "Example", copy: "Copy", copied: "Copied", required: "required",
    or: "or", anything: "anything", codes: "Codes", code: "Code", meaning: "Meaning", right: "Right", name: "Name", none: "No operation matches.", found: (n) => `${n} operations`,
    loading: "Loading…", failed: "The document could not be loaded.",
    types: { integer: "integer", number: "number", boolean: "boolean", string: "text", object: "object", array: "list", null: "null", time: "time", of: (t) => `list of ${t}s` },
  },
  zh: {
    title: "接口文档", search: "搜索接口（按 / ）", nav: "接口",
    intro: "同一接口在三个入口上行为一致，仅地址、凭证与返回包装不同。接口的返回状态码为 200，由 code 区分成功（0）与失败。失败的调用不改变任何数据，错误信息会列出每个有问题的字段及其路径。",
    document: "OpenAPI 文档", more: "附录", native: "原生", gateway: "网关", esb: "ESB", doors: "入口", ways: "调用地址", rights: "权限", needs: "所需权限",
    open: "任何已知调用者均可使用。", parameters: "参数", request: "请求体", requestAbout: "JSON。除标明必填外，字段均可省略；null 等同于未给出。",
    noBody: "无。", response: "返回", failure: "失败时", statuses: "其他状态码", example: "示例", copy: "复制", copied: "已复制", required: "必填",
    or: "或", anything: "任意值", codes: "错误码", code: "错误码", meaning: "含义", right: "权限", name: "名称", none: "没有匹配的接口。", found: (n) => `${n} 个接口`,
    loading: "加载中…", failed: "文档加载失败。",
    types: { integer: "整数", number: "数字", boolean: "布尔", string: "文本", object: "对象", array: "列表", null: "null", time: "时间", of: (t) => `${t}列表` },
  },
};
const DOORS = ["native", "gateway", "esb"];
const documentAddress = new URL("openapi.json", location.href);
const main = document.getElementById("main");
const nav = document.getElementById("nav");
const search = document.getElementById("search");
const status = document.getElementById("status");
let book = null;
let door = "native";
const words = () => WORDS[document.documentElement.lang] || WORDS.en;

/** An element with attributes and children; texts become text nodes. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

/** A text in which `this` is code. */
const prose = (text) => text.split("`").map((part, i) => (i % 2 ? el("code", null, part) : part));

const lookUp = (reference) => reference.slice(2).split("/").reduce((at, key) => at[key.replace(/~1/g, "/").replace(/~0/g, "~")], book);
const deref = (thing) => (thing && thing.$ref ? { ...lookUp(thing.$ref), ...without(thing, "$ref") } : thing);
const without = (object, key) => Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));

/** A schema with its references followed and its parts put together. */
function whole(schema) {
  schema = deref(schema) || {};
  if (!schema.allOf) return schema;
  const parts = schema.allOf.map(whole);
  return {
    type: "object",
    properties: Object.assign({}, ...parts.map((part) => part.properties || {})),
    required: parts.flatMap((part) => part.required || []),
  };
}

const kinds = (schema) => [].concat(schema.type || []);
const kind = (schema) => kinds(schema).find((name) => name !== "null");

/** The type in words. In requests null needs no mention: it is the same as absent. */
function typeName(schema, answer) {
  schema = whole(schema);
  const types = words().types;
  if (schema.anyOf) return schema.anyOf.map((one) => typeName(one, answer)).join(` ${words().or} `);
  let name = types[kind(schema)] || (kinds(schema).length ? types.null : words().anything);
  if (schema.format === "date-time") name = types.time;
  if (kind(schema) === "array" && schema.items && kind(whole(schema.items))) name = types.of(typeName(schema.items, answer));
  if (schema.const !== undefined) name = JSON.stringify(schema.const);
  return answer && kind(schema) && kinds(schema).includes("null") ? `${name} ${words().or} null` : name;
}

/** The members below a value: its own, or those of its items. */
function below(schema) {
  schema = whole(schema);
  if (schema.anyOf) return below(schema.anyOf[0]);
  if (kind(schema) === "array") return schema.items ? below(schema.items) : null;
  return schema.properties ? schema : null;
}

function tree(schema, answer, depth = 0) {
  const needed = new Set(schema.required || []);
  return el("ul", { class: "tree" }, Object.entries(schema.properties || {}).map(([name, member]) => {
    const inner = below(member);
    const line = [
      el("code", null, name), el("span", { class: "type" }, typeName(member, answer)),
      !answer && needed.has(name) && el("span", { class: "needed" }, words().required),
      deref(member).description && el("span", { class: "about" }, prose(deref(member).description)),
    ];
    if (!inner) return el("li", null, line);
    return el("li", null, el("details", { open: depth < 1 }, el("summary", null, line), tree(inner, answer, depth + 1)));
  }));
}

// What stands in an example for a name; what is left out of it.
const VALUES = {
  stage: "prod", bk_supplier_account: "0", bk_app_code: "APP_CODE", bk_app_secret: "APP_SECRET", bk_username: "admin",
  start: 0, limit: 10, bk_biz_id: 3, bk_set_id: 11, bk_module_id: 31, bk_host_id: 1, service_instance_id: 1, bk_cloud_id: 0,
  bk_obj_id: "process", protocol: "1", ip: "127.0.0.1", port: "8080", enable: true, proc_num: 1, process_template_id: 0,
  bk_func_name: "nginx", bk_process_name: "nginx", user: "nginx", work_path: "/usr/sbin", start_cmd: "nginx",
  bk_host_innerip: "10.0.0.1", is_increment: false, with_default: 1,
  bk_biz_name: "example", life_cycle: "2", bk_biz_maintainer: "admin", time_zone: "Asia/Shanghai", language: "1",
  bk_set_name: "example", bk_set_env: "3", bk_service_status: "1", bk_capacity: 10, bk_module_name: "example", bk_module_type: "1",
};
const LEFT_OUT = new Set(["bk_token", "sort", "enable_count", "selectors", "search_key", "fields", "condition", "filter", "biz_property_filter", "time_condition", "need_sort"]);
// What no new caller should send.
const isOld = (member) => /^(Older form|Kept as|The same as|Not supported)|older than/.test(deref(member).description || "");
const ESB_ONLY = new Set(["bk_supplier_account"]);

const HOST = { bk_host_innerip: VALUES.bk_host_innerip, bk_cloud_id: VALUES.bk_cloud_id };

function example(schema, name, depth = 0) {
  schema = whole(schema);
  // Records whose fields the document does not list.
  if (name === "host_info") return { 0: HOST };
  if (name === "bk_host_list" && kind(whole(schema.items)) === "object") return [HOST];
  // In a tree the parent is what the description calls it.
  if (name === "bk_parent_id") return VALUES[/set/.test(schema.description || "") ? "bk_set_id" : "bk_biz_id"];
  if (name in VALUES && kind(schema) !== "array") return VALUES[name];
  switch (kind(schema)) {
    case "object": {
      const members = Object.entries(schema.properties || {}).filter(([key, member]) => !LEFT_OUT.has(key) && !isOld(member) && kind(whole(member)));
      const named = members.filter(([key]) => !(depth === 0 && ESB_ONLY.has(key)));
      // Of a long record only what has a value here says something.
      const long = named.length > 12;
      const kept = named.filter(([key]) => !long || key in VALUES || key === "bind_info");
      return Object.fromEntries(kept.map(([key, member]) => [key, example(member, key, depth + 1)]));
    }
    case "array": return schema.items && kind(whole(schema.items)) ? [example(schema.items, name.replace(/s$|_list$/, ""), depth + 1)] : [];
    case "integer": case "number": return 1;
    case "boolean": return false;
    default: return /name/.test(name) ? "example" : "";
  }
}

const shell = (text) => `'${text.replace(/'/g, "'\\''")}'`;

function curl(way) {
  const parameters = way.entry.parameters.map(deref);
  const value = (parameter) => String(example(parameter.schema, parameter.name));
  let path = way.path;
  for (const parameter of parameters) if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value(parameter)));
  const credential = (name) => name in VALUES && name.startsWith("bk_") && name !== "bk_supplier_account";
  const query = parameters.filter((p) => p.in === "query" && (p.required || credential(p.name)));
  if (query.length) path += "?" + query.map((p) => `${p.name}=${encodeURIComponent(value(p))}`).join("&");
  const lines = [`curl -s${way.method === "get" ? "" : ` -X ${way.method.toUpperCase()}`} ${shell(location.origin + path)}`];
  if (way.door === "native") lines.push("-H 'BK_User: admin'");
  if (way.door === "gateway") lines.push(`-H ${shell('X-Bkapi-Authorization: {"bk_app_code":"APP_CODE","bk_app_secret":"APP_SECRET","bk_username":"admin"}')}`);
  const body = bodyOf(way.entry);
  if (body) lines.push("-H 'Content-Type: application/json'", `-d ${shell(JSON.stringify(example(body, ""), null, 2))}`);
  return lines.join(" \\\n  ");
}

const bodyOf = (entry) => entry.requestBody && entry.requestBody.content["application/json"].schema;

function codeBlock(text) {
  const button = el("button", { type: "button" }, words().copy);
  button.addEventListener("click", async () => {
    const block = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = status.textContent = words().copied;
      setTimeout(() => { button.textContent = words().copy; }, 1500);
    } catch {
      // Without the clipboard (plain HTTP) the text is selected, ready to be copied by key.
      getSelection().selectAllChildren(block);
    }
  });
  return el("div", { class: "code" }, el("pre", { tabindex: "0" }, text), button);
}

function wayLine(way) {
  return [el("span", { class: `method ${way.method}` }, way.method.toUpperCase()), " ", el("code", null, way.path)];
}

/** What a door wants and answers. */
function panel(operation, chosen) {
  const t = words();
  const ways = operation.ways.filter((way) => way.door === chosen);
  return ways.map((way, i) => {
    const parameters = way.entry.parameters.map(deref);
    const body = bodyOf(way.entry);
    const answer = deref(way.entry.responses["200"]).content["application/json"].schema;
    const [success, failure] = answer.oneOf.map(whole);
    const others = Object.entries(way.entry.responses).filter(([code]) => code !== "200");
    const parts = [ways.length > 1 && el("h3", null, wayLine(way)), el("h3", null, t.example), codeBlock(curl(way))];
    parts.push(el("h3", null, t.parameters), el("ul", { class: "tree" }, parameters.map((p) => el("li", null,
      el("code", null, p.name), el("span", { class: "type" }, `${p.in} · ${typeName(p.schema)}`),
      p.required && el("span", { class: "needed" }, t.required), p.description && el("span", { class: "about" }, prose(p.description))))));
    if (way.method !== "get") {
      parts.push(el("h3", null, t.request));
      parts.push(...(body ? [el("p", { class: "about" }, t.requestAbout), tree(whole(body), false)] : [el("p", { class: "about" }, t.noBody)]));
    }
    if (i === 0) {
      parts.push(el("h3", null, t.response), tree(success, true));
      parts.push(el("h3", null, t.failure), tree(failure, true, 1));
      parts.push(el("h3", null, t.statuses), el("div", { class: "scroll" }, el("table", { class: "statuses" }, el("tbody", null, others.map(([code, reply]) =>
        el("tr", null, el("td", null, code), el("td", null, prose(deref(reply).description))))))));
    }
    return el("div", null, parts);
  });
}

function rights(operation) {
  if (!operation.needs.length) return el("p", { class: "about" }, words().open);
  return el("p", null, operation.needs.flatMap((id, i) => [
    i > 0 && `, `, el("code", null, id), ` (${book["x-rollcall-actions"][id][document.documentElement.lang]})`]));
}

function fill(details, operation) {
  const t = words();
  const there = DOORS.filter((name) => operation.ways.some((way) => way.door === name));
  const chosen = there.includes(door) ? door : there[0];
  const tab = (name) => el("button", {
    type: "button", role: "tab", id: `${operation.name}.${name}`, "aria-selected": String(name === chosen), "aria-controls": `${operation.name}.panel`,
    tabindex: name === chosen ? "0" : "-1", onclick: () => choose(name),
  }, t[name]);
  const choose = (name) => {
    door = name;
    fill(details, operation);
    document.getElementById(`${operation.name}.${name}`).focus();
  };
  const keys = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(there[(there.indexOf(chosen) + step + there.length) % there.length]);
  };
  details.querySelector(".body").replaceChildren(
    el("h3", null, t.ways),
    el("table", { class: "ways" }, el("tbody", null, operation.ways.map((way) => el("tr", null, el("td", null, t[way.door]), el("td", null, wayLine(way)))))),
    el("h3", null, t.needs), rights(operation),
    el("div", { class: "tabs", role: "tablist", "aria-label": t.doors, onkeydown: keys }, there.map(tab)),
    el("div", { role: "tabpanel", id: `${operation.name}.panel`, "aria-labelledby": `${operation.name}.${chosen}` }, panel(operation, chosen)),
  );
}

/** The operations, each with its ways at all doors, in the order of the document. */
function operations() {
  const all = new Map();
  for (const [path, item] of Object.entries(book.paths)) {
    for (const [method, entry] of Object.entries(item)) {
      const name = entry["x-rollcall-operation"];
      if (!all.has(name)) all.set(name, { name, summary: entry.summary, tag: entry.tags[0], needs: entry["x-rollcall-needs"], ways: [] });
      all.get(name).ways.push({ door: entry["x-rollcall-door"], method, path, entry });
    }
  }
  for (const operation of all.values()) operation.ways.sort((a, b) => DOORS.indexOf(a.door) - DOORS.indexOf(b.door));
  return [...all.values()];
}

function render() {
  const t = words();
  const opened = new Set([...main.querySelectorAll("details.op[open]")].map((details) => details.id));
  search.placeholder = t.search;
  search.setAttribute("aria-label", t.search);
  nav.setAttribute("aria-label", t.nav);
  document.title = `Rollcall · ${t.title}`;
  if (!book) return;
  const chinese = document.documentElement.lang === "zh";
  const all = operations();
  const sections = book.tags.map((tag) => {
    const name = chinese ? tag["x-rollcall-zh"] : tag.name;
    const own = all.filter((operation) => operation.tag === tag.name);
    const cards = own.map((operation) => {
      const details = el("details", { class: "op", id: operation.name },
        el("summary", null, el("code", null, operation.name), el("span", null, operation.summary)), el("div", { class: "body" }));
      details.dataset.text = [operation.name, operation.summary, tag.name, tag["x-rollcall-zh"], ...operation.ways.map((way) => way.path)].join(" ").toLowerCase();
      details.addEventListener("toggle", () => { if (details.open) fill(details, operation); });
      details.open = opened.has(operation.name);
      return details;
    });
    return { name, own, node: el("section", { class: "group" }, el("h2", null, name), cards) };
  });
  const row = (...cells) => el("tr", null, cells.map((cell) => el("td", null, cell)));
  const head = (...cells) => el("thead", null, el("tr", null, cells.map((cell) => el("th", { scope: "col" }, cell))));
  main.replaceChildren(
    el("div", { class: "intro" }, el("h1", null, t.title), el("p", null, t.intro),
      el("p", { class: "quiet" }, `Rollcall ${book.info.version} · `, el("a", { href: "openapi.json" }, t.document))),
    ...sections.map((section) => section.node),
    el("p", { class: "none", hidden: true }, t.none),
    el("section", { id: "rights" }, el("h2", null, t.rights), el("div", { class: "scroll" }, el("table", { class: "rights" }, head(t.right, t.name), el("tbody", null,
      Object.entries(book["x-rollcall-actions"]).map(([id, names]) => row(el("code", null, id), chinese ? names.zh : names.en)))))),
    el("section", { id: "codes" }, el("h2", null, t.codes), el("div", { class: "scroll" }, el("table", { class: "codes" }, head(t.code, t.meaning), el("tbody", null,
      book["x-rollcall-codes"].map((code) => row(String(code.code), chinese ? code.zh : code.en)))))),
  );
  const link = (id, text) => el("li", null, el("a", { href: `#${id}`, "data-id": id }, text));
  nav.replaceChildren(...sections.flatMap((section) => [
    el("h2", null, section.name), el("ul", null, section.own.map((operation) => link(operation.name, operation.name)))]),
    el("h2", null, t.more), el("ul", null, link("rights", t.rights), link("codes", t.codes)));
  filter();
}

function filter() {
  const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const section of main.querySelectorAll(".group")) {
    let any = false;
    for (const card of section.querySelectorAll(".op")) {
      card.hidden = !wanted.every((word) => card.dataset.text.includes(word));
      const entry = nav.querySelector(`[data-id="${card.id}"]`);
      if (entry) entry.parentElement.hidden = card.hidden;
      if (!card.hidden) { any = true; count += 1; }
    }
    section.hidden = !any;
  }
  for (const list of nav.querySelectorAll("ul")) list.previousElementSibling.hidden = [...list.children].every((item) => item.hidden);
  const none = main.querySelector(".none");
  if (none) none.hidden = count > 0;
  if (wanted.length) status.textContent = words().found(count);
}

/** Opens what the address names. */
function follow() {
  let target = null;
  try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { /* no name of anything here */ }
  if (!target) return;
  if (target.matches("details.op")) { target.open = true; target.querySelector("summary").focus({ preventScroll: true }); }
  target.scrollIntoView();
}

search.addEventListener("input", filter);
document.addEventListener("languagechange", render);
addEventListener("hashchange", follow);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(input|textarea)$/i.test(event.target.tagName)) { event.preventDefault(); search.focus(); }
  if (event.key === "Escape" && event.target === search) { search.value = ""; filter(); }
});

main.replaceChildren(el("p", { class: "none" }, words().loading));
render();
fetch(documentAddress).then((reply) => (reply.ok ? reply.json() : Promise.reject(new Error(String(reply.status))))).then((document_) => {
  book = document_;
  render();
  follow();
}).catch(() => main.replaceChildren(el("p", { class: "none" }, words().failed)));
