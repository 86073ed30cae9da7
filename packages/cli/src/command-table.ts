// Every command by name: what help, completion and docs/cli.md are made of.

import { bench, benchCompare } from "./bench/bench-commands.js";
import type { Command, OptionRow } from "./command.js";
import { completion } from "./completion.js";
import { dlqDiscard, dlqGroups, dlqLs, dlqShow } from "./dlq-commands.js";
import { dlqReplay, dlqReplays } from "./dlq-replay.js";
import { doctor } from "./doctor/doctor-command.js";
import { eventsTail } from "./event-commands.js";
import { intentAmend } from "./intent-amend.js";
import { intentCancel, intentGet, intentTail, quoteLs } from "./intent-commands.js";
import { intentExplain, intentTimeline } from "./intent-explain.js";
import { intentSend } from "./intent-send.js";
import { keysGen, keysJwks, keysLs, keysRevoke, keysRotate } from "./keys-commands.js";
import { nodeInspect, nodeLs, nodeResume, nodeSuspend } from "./node-commands.js";
import { nodeTop } from "./node-top.js";
import { apiKeyCreate, apiKeyLs, apiKeyRevoke, inviteCreate } from "./operator-commands.js";
import { tokenGen } from "./token-commands.js";
import { tokenInspect } from "./token-inspect.js";
import {
  webhookAttempts,
  webhookCreate,
  webhookLs,
  webhookRecover,
  webhookRm,
  webhookRotateSecret,
  webhookTest,
} from "./webhook-commands.js";

export const COMMANDS: Readonly<Record<string, Command>> = {
  "intent send": intentSend,
  "intent get": intentGet,
  "intent tail": intentTail,
  "intent explain": intentExplain,
  "intent timeline": intentTimeline,
  "intent amend": intentAmend,
  "intent cancel": intentCancel,
  "quote ls": quoteLs,
  "events tail": eventsTail,
  "webhook ls": webhookLs,
  "webhook create": webhookCreate,
  "webhook attempts": webhookAttempts,
  "webhook test": webhookTest,
  "webhook recover": webhookRecover,
  "webhook rotate-secret": webhookRotateSecret,
  "webhook rm": webhookRm,
  "node ls": nodeLs,
  "node inspect": nodeInspect,
  "node suspend": nodeSuspend,
  "node resume": nodeResume,
  "node top": nodeTop,
  "dlq ls": dlqLs,
  "dlq groups": dlqGroups,
  "dlq show": dlqShow,
  "dlq discard": dlqDiscard,
  "dlq replay": dlqReplay,
  "dlq replays": dlqReplays,
  "token gen": tokenGen,
  "token inspect": tokenInspect,
  "keys gen": keysGen,
  "keys jwks": keysJwks,
  "keys ls": keysLs,
  "keys rotate": keysRotate,
  "keys revoke": keysRevoke,
  "api-key create": apiKeyCreate,
  "api-key ls": apiKeyLs,
  "api-key revoke": apiKeyRevoke,
  "invite create": inviteCreate,
  doctor,
  bench,
  "bench compare": benchCompare,
  completion,
};

export const DEFAULT_URL = "http://127.0.0.1:7070";

/** Options of every command. */
export const SHARED_OPTIONS: Readonly<Record<string, OptionRow>> = {
  url: { type: "string", value: "url", help: `the API; OUTCRY_URL, else ${DEFAULT_URL}` },
  "gateway-url": { type: "string", value: "url", help: "the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API" },
  key: {
    type: "string",
    value: "key",
    help: "API key or token; better in OUTCRY_API_KEY, where no process list shows it",
  },
  json: { type: "boolean", help: "one JSON value a line, as the API has it" },
  help: { type: "boolean", help: "this text" },
};
