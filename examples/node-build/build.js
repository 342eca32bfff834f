// The build step: the page is rendered once, and the server only sends it.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { render } from "./src/page.js";

mkdirSync("dist", { recursive: true });
writeFileSync("dist/page.html", render(readFileSync("src/greeting.txt", "utf8").trim()));
copyFileSync("src/server.js", "dist/server.js");
writeFileSync("dist/package.json", JSON.stringify({ type: "module" }));
