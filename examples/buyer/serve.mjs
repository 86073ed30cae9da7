// The page's own backend: serves it, posts the buyer's intents with the marketplace's key, hands out short tokens for them.
//   OUTCRY_WS_ALLOWED_ORIGINS=http://127.0.0.1:8080 npm start      # Outcry
//   OUTCRY_API_KEY=… node examples/buyer/serve.mjs                 # then open http://127.0.0.1:8080

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { createClient, isApiError } from "@outcry/client";

const { OUTCRY_URL: url = "http://127.0.0.1:7070", OUTCRY_API_KEY: apiKey, PORT = "8080" } = process.env;
const gatewayUrl = process.env.OUTCRY_GATEWAY_URL ?? `${url.replace(/^http/, "ws")}/v1/ws`;
const BUYER = "demo-buyer"; // a real backend knows from its session who this is
const TOKEN_MS = 60_000; // short: the page asks again while it is open

const client = createClient({ url, apiKey });
const intents = new Set(); // posted here; nobody gets a token for another's
const clientFiles = path.dirname(fileURLToPath(import.meta.resolve("@outcry/client")));
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript" };

const routes = {
  "POST /intents": async (_, { query, budget_minor: max_minor }) => {
    const { intentId } = await client.broadcast({
      line_items: [{ query }],
      context: { currency: "EUR", region: "DE" },
      budget: { max_minor },
      buyer_id: BUYER,
    });
    intents.add(intentId);
    return { intent_id: intentId };
  },
  "POST /tokens": async (intentId) => {
    const { token } = await client.createToken({ buyer_id: BUYER, channels: [`intent:${intentId}`], ttl_ms: TOKEN_MS });
    return { token, gateway_url: gatewayUrl };
  },
  "GET /quotes": (intentId) => client.quotes(intentId),
};

const server = createServer((request, response) => void answer(request, response));
server.listen(Number(PORT), "127.0.0.1", () => {
  process.stdout.write(`http://127.0.0.1:${server.address().port}\n`);
});

async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  const route = routes[`${request.method} ${pathname}`];
  const intentId = searchParams.get("intent");
  if (route === undefined) return sendFile(pathname, response);
  if (pathname !== "/intents" && !intents.has(intentId)) return send(response, 404, { code: "intent_not_found" });
  try {
    const body = pathname === "/intents" ? JSON.parse(await textOf(request)) : undefined;
    send(response, 200, await route(intentId, body));
  } catch (error) {
    if (!isApiError(error) && !(error instanceof SyntaxError)) throw error;
    const status = isApiError(error) ? error.status || 503 : 400;
    send(response, status, { code: error.code ?? "json_syntax", detail: error.message });
  }
}

/** The page's two files, and the modules of @outcry/client as they are: the realtime part needs no bundler. */
async function sendFile(pathname, response) {
  const own = { "/": "index.html", "/page.mjs": "page.mjs" }[pathname];
  const module = /^\/outcry\/((?:[a-z0-9-]+\/)*[a-z0-9-]+\.js)$/.exec(pathname)?.[1];
  const file = own ? path.join(import.meta.dirname, own) : module && path.join(clientFiles, module);
  const bytes = file && (await readFile(file).catch(() => undefined));
  if (!bytes) return send(response, 404, { code: "route_not_found" });
  response.writeHead(200, { "content-type": types[path.extname(file)], "cache-control": "no-cache" });
  response.end(bytes);
}

function send(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

async function textOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
