/** Returns the page for a greeting. */
export function render(greeting) {
  const escaped = greeting.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<!doctype html><meta charset="utf-8"><title>Greeter</title><p>${escaped}</p>\n`;
}
