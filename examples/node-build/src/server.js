import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const page = readFileSync(new URL("page.html", import.meta.url));
const release = process.env.KICKOFF_RELEASE ?? "";

const server = createServer((request, response) => {
  response.setHeader("X-Release", release);
  if (request.url === "/healthz") {
    response.end("ok\n");
  } else if (request.url === "/") {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(page);
  } else {
    response.writeHead(404).end("not found\n");
  }
});
// Longer than the proxy keeps an idle connection, so that a request never meets one that is being closed.
server.keepAliveTimeout = 10_000;
server.listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => server.close(() => process.exit(0)));
