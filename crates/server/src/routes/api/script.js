// Shows the OpenAPI document. Text is set as text: nothing of it is taken for HTML.
const api = await (await fetch("/api/v1/openapi.json")).json();

const element = (tag, content = [], properties = {}) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...[content].flat());
  return made;
};
const resolve = (schema) => (schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema) ?? {};

function kind(schema) {
  if (schema?.$ref) return schema.$ref.split("/").pop();
  const alternatives = schema?.oneOf ?? schema?.anyOf;
  if (alternatives) return alternatives.map(kind).join(" or ");
  const type = [schema?.type ?? "any JSON"].flat().join(" or ");
  if (schema?.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  return schema?.items ? `array of ${kind(schema.items)}` : type;
}

/** Rows of a schema's keys, and of those within. */
function rows(schema, prefix = "") {
  const whole = resolve(schema);
  const parts = [whole, ...(whole.allOf ?? []).map(resolve)];
  return parts.flatMap((part) => Object.entries(part.properties ?? {}).flatMap(([name, property]) => {
    const required = part.required?.includes(name) ? "" : ", may be left out";
    const row = element("tr", [
      element("td", element("code", prefix + name)),
      element("td", [kind(property) + required, element("div", property.description ?? resolve(property).description ?? "", { className: "faint" })]),
    ]);
    const within = property.items ?? property;
    return [row, ...rows(within, `${prefix}${name}${property.items ? "[]" : ""}.`)];
  }));
}

const KEYS = { api_key: "the API key", room_token: "the member's token", visit_token: "the visit's token" };

const table = (found) => element("table", element("tbody", found));
const content = (part) => Object.values(part?.content ?? {})[0]?.schema;

function operation(method, path, { summary, description, parameters = [], requestBody, responses, security = [] }) {
  const key = security.flatMap(Object.keys).map((name) => KEYS[name]);
  const inner = element("div");
  if (description) inner.append(element("p", description));
  if (key.length) inner.append(element("p", ["Needs ", element("code", "Authorization: Bearer"), ` with ${key.join(" or ")}.`]));
  if (parameters.length) {
    inner.append(element("h3", "Parameters"), table(parameters.map(({ name, in: place, description = "" }) =>
      element("tr", [element("td", element("code", name)), element("td", `${place}: ${description}`)]))));
  }
  if (requestBody) inner.append(element("h3", `Body, ${Object.keys(requestBody.content)[0]}`), table(rows(content(requestBody))));
  inner.append(element("h3", "Answers"), table(Object.entries(responses).map(([status, response]) =>
    element("tr", [element("td", element("code", status)), element("td", response.description)]))));
  const good = Object.entries(responses).find(([status]) => status.startsWith("2"))?.[1];
  if (content(good)) inner.append(element("h3", "When it goes well"), table(rows(content(good))));
  return element("details", [
    element("summary", [element("b", method.toUpperCase()), element("code", path), element("span", summary ?? "")]), inner,
  ]);
}

document.getElementById("about").textContent = api.info.description;
const groups = new Map();
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, described] of Object.entries(methods)) {
    const tag = described.tags?.[0] ?? "Other";
    if (!groups.has(tag)) groups.set(tag, []);
    groups.get(tag).push(operation(method, path, described));
  }
}
for (const [tag, operations] of groups) document.getElementById("operations").append(element("h2", tag), ...operations);
