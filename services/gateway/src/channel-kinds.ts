// Kinds of channels that other services bring: who may open them, whether their owner is asked at each join, which commands it takes.
// The owner answers NATS requests on `cmd.<kind>.<command>` (`join` is the hook's); its events are those of the topics
// `rt.<kind>.<backend>.<buyer>.<id>`.

import type { Backbone, Incoming } from "@outcry/backbone";
import { ERRORS, type ErrorCode, type JsonValue, OutcryError, parseStrict } from "@outcry/protocol";
import type { ChannelCommand, CommandReply, Payload, Route } from "@outcry/ws-gateway";
import type { GatewayPrincipal } from "./principal.js";
import type { Rights, RightsByRole } from "./rights.js";

export interface ChannelKind {
  /** A lower-case word. */
  readonly name: string;
  readonly rights: RightsByRole;
  /** Its owner is asked at each join, and may refuse it. */
  readonly asksAtJoin?: boolean;
  readonly commands?: readonly string[];
}

/** Who asks, as the owner sees it: base64url of this as JSON in the header `Outcry-Caller`. */
export interface Caller {
  readonly channel: string;
  readonly role: GatewayPrincipal["role"];
  readonly backend_id?: string;
  readonly buyer_id?: string;
  readonly node_id?: string;
}

const TIMEOUT_MS = 5_000;
const JSON_TYPE = "application/json";
const NAME = /^[a-z][a-z0-9_]{0,31}$/;

export class ChannelKinds {
  readonly #backbone: Backbone;
  readonly #kinds: ReadonlyMap<string, ChannelKind>;

  constructor(backbone: Backbone, kinds: readonly ChannelKind[]) {
    this.#backbone = backbone;
    this.#kinds = new Map(kinds.map((kind) => [kind.name, kind]));
    for (const name of this.#kinds.keys())
      if (!NAME.test(name)) throw new TypeError(`channel kind ${name}: not a word`);
    if (this.#kinds.size < kinds.length) throw new TypeError("channel kinds: one of them is there twice");
  }

  rightsOf(kind: string, role: GatewayPrincipal["role"]): Rights | undefined {
    return this.#kinds.get(kind)?.rights[role];
  }

  /** Undefined where it may be opened. */
  async refusalOfJoin(
    principal: GatewayPrincipal,
    route: Route,
  ): Promise<(CommandReply & { kind: "refused" }) | undefined> {
    const kind = kindOf(route);
    if (this.#kinds.get(kind)?.asksAtJoin !== true) return undefined;
    const reply = await this.#ask(principal, route, { name: "join", payload: null });
    return reply.kind === "refused" ? reply : undefined;
  }

  async command(principal: GatewayPrincipal, route: Route, command: ChannelCommand): Promise<CommandReply> {
    if (this.#kinds.get(kindOf(route))?.commands?.includes(command.name) === true)
      return this.#ask(principal, route, command);
    return { kind: "refused", code: "frame_invalid", detail: "this channel takes no such command" };
  }

  async #ask(principal: GatewayPrincipal, route: Route, { name, payload }: ChannelCommand): Promise<CommandReply> {
    const isBytes = payload instanceof Uint8Array;
    const caller = Buffer.from(JSON.stringify(callerOf(principal, route))).toString("base64url");
    const reply = await this.#backbone.request(
      `cmd.${kindOf(route)}.${name}`,
      isBytes ? payload : Buffer.from(JSON.stringify(payload)),
      {
        headers: { "Outcry-Caller": caller, ...(isBytes ? {} : { "Content-Type": JSON_TYPE }) },
        timeoutMs: TIMEOUT_MS,
      },
    );
    return readReply(reply);
  }
}

const kindOf = ({ channel }: Route): string => channel.slice(0, channel.indexOf(":"));

function callerOf(principal: GatewayPrincipal, { channel }: Route): Caller {
  switch (principal.role) {
    case "buyer":
      return { channel, role: "buyer", backend_id: principal.backendId, buyer_id: principal.buyerId };
    case "backend":
      return { channel, role: "backend", backend_id: principal.backendId };
    case "node":
      return { channel, role: "node", node_id: principal.nodeId };
    default:
      return { channel, role: principal.role };
  }
}

/** `Outcry-Error` holds a code of the error table; the payload is then its detail, or nothing. */
function readReply({ headers, data }: Incoming): CommandReply {
  const code = headers.last("Outcry-Error");
  if (code === undefined) return { kind: "ok", response: readPayload(headers.last("Content-Type"), data) };
  if (!Object.hasOwn(ERRORS, code))
    throw new OutcryError("internal", `a command was answered with the unknown code ${code}`);
  const detail = Buffer.from(data).toString();
  return { kind: "refused", code: code as ErrorCode, ...(detail === "" ? {} : { detail }) };
}

function readPayload(contentType: string | undefined, data: Uint8Array): Payload {
  if (contentType !== JSON_TYPE) return data;
  const parsed = parseStrict(data);
  if (parsed.kind === "refused")
    throw new OutcryError("internal", `a command was answered with no JSON: ${parsed.detail}`);
  return parsed.value satisfies JsonValue;
}
