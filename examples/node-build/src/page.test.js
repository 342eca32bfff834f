import assert from "node:assert/strict";
import test from "node:test";
import { render } from "./page.js";

test("a greeting is escaped", () => {
  assert.match(render("a < b"), /a &lt; b/);
});
