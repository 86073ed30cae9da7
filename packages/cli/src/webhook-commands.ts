// outcry webhook ls|create|attempts|test|recover|rotate-secret|rm: a backend's own receivers of events.

import { EVENT_TYPES, type EventType, type WebhookView } from "@outcry/protocol";
import { type Command, given } from "./command.js";
import { UsageError } from "./exit-codes.js";

const EXAMPLE = "whk_01kahsomewebhook";
const ATTEMPTS = { min: 1, max: 100, byDefault: 20 } as const;

export const webhookLs: Command = {
  summary: "Your webhooks, oldest first",
  args: [],
  options: {},
  examples: ["webhook ls", "webhook ls --json | jq -r 'select(.enabled | not) | .id'"],
  async run({ client, print }) {
    print.list((await client.webhooks.list()).data, {
      WEBHOOK: (webhook) => webhook.id,
      STATE: stateOf,
      TYPES: ({ types }) => (types.length === 0 ? "all" : types.join(",")),
      URL: (webhook) => webhook.url,
      DESCRIPTION: (webhook) => webhook.description,
    });
  },
};

export const webhookCreate: Command = {
  summary: "Have events sent to a URL, from now on; its secret is shown once",
  args: ["url"],
  options: {
    type: { type: "string", multiple: true, value: "name", help: "only this type of event; may be repeated" },
    description: { type: "string", value: "text", help: "what it is for" },
    paused: { type: "boolean", help: "send nothing until it is enabled" },
  },
  examples: ["webhook create https://shop.example.com/hooks --type QUOTE_RECEIVED --type INTENT_CLOSED"],
  async run({ client, args, options, print }) {
    const types = options.list("type").map(typeOf);
    const created = await client.webhooks.create({
      url: args[0]!,
      ...(types.length === 0 ? {} : { types }),
      ...given("description", options.text("description")),
      ...(options.flag("paused") ? { enabled: false } : {}),
    });
    print.one(created, [`${created.id}  ${stateOf(created)}  ${created.url}`, `secret  ${created.secret}`]);
  },
};

export const webhookAttempts: Command = {
  summary: "The last attempts of a webhook, newest first",
  args: ["webhook"],
  options: { limit: { type: "string", value: "n", help: `how many; ${ATTEMPTS.byDefault} by default, at most 100` } },
  examples: [`webhook attempts ${EXAMPLE} --limit 100`],
  async run({ client, args, options, print }) {
    const found = await client.webhooks.attempts(args[0]!, options.within("limit", ATTEMPTS));
    print.list(found.data, {
      TIME: (attempt) => attempt.time,
      OUTCOME: (attempt) => attempt.outcome,
      STATUS: (attempt) => attempt.status,
      MS: (attempt) => attempt.duration_ms,
      NTH: (attempt) => attempt.attempt,
      TYPE: (attempt) => attempt.event_type,
      EVENT: (attempt) => attempt.event_id,
      NEXT: (attempt) => attempt.next_attempt,
      ERROR: (attempt) => attempt.error,
    });
    print.note(`${found.waiting} not yet sent, ${found.in_hand} being sent or waiting for their next attempt`);
    if (found.failing_since !== undefined) print.note(`nothing but failures since ${found.failing_since}`);
  },
};

export const webhookTest: Command = {
  summary: "Send a signed WEBHOOK_TEST now, and tell what came back",
  args: ["webhook"],
  options: {},
  examples: [`webhook test ${EXAMPLE}`],
  async run({ client, args, print }) {
    const tested = await client.webhooks.test(args[0]!);
    print.one(tested, [
      `${tested.delivered ? "delivered" : "not delivered"}  ${tested.status ?? tested.error ?? "-"}  ${tested.duration_ms} ms`,
      ...(tested.body ? [tested.body] : []),
    ]);
  },
};

export const webhookRecover: Command = {
  summary: "Send everything since a time again, under the same ids",
  args: ["webhook"],
  options: { since: { type: "string", value: "time", help: "RFC 3339, for example 2026-11-20T08:00:00Z" } },
  examples: [`webhook recover ${EXAMPLE} --since 2026-11-20T08:00:00Z`],
  async run({ client, args, options, print }) {
    const accepted = await client.webhooks.recover(args[0]!, options.required("since"));
    const gone = accepted.complete ? "" : "; older events are no longer kept";
    print.one(accepted, [`${accepted.id}  everything since ${accepted.since} comes again${gone}`]);
  },
};

export const webhookRotateSecret: Command = {
  summary: "A new secret, shown once; the one before it signs for a day, too",
  args: ["webhook"],
  options: {},
  examples: [`webhook rotate-secret ${EXAMPLE}`],
  async run({ client, args, print }) {
    const rotated = await client.webhooks.rotateSecret(args[0]!);
    print.one(rotated, [`secret  ${rotated.secret}`, `the one before signs until ${rotated.previous_until}`]);
  },
};

export const webhookRm: Command = {
  summary: "Delete a webhook and its place in the log",
  args: ["webhook"],
  options: { "dry-run": { type: "boolean", help: "show it, delete nothing" } },
  examples: [`webhook rm ${EXAMPLE} --dry-run`, `webhook rm ${EXAMPLE}`],
  async run({ client, args, options, print }) {
    const id = args[0]!;
    if (options.flag("dry-run")) {
      const found = await client.webhooks.get(id);
      return print.one(found, [`would be deleted: ${found.id}  ${stateOf(found)}  ${found.url}`]);
    }
    await client.webhooks.remove(id);
    print.one({ id, deleted: true }, [`${id}  deleted`]);
  },
};

const stateOf = ({ enabled, disabled_reason }: WebhookView): string =>
  enabled ? "enabled" : (disabled_reason ?? "paused");

export function typeOf(name: string): EventType {
  const found = EVENT_TYPES.find((type) => type === name);
  if (found === undefined) throw new UsageError(`--type: there is no event ${JSON.stringify(name)}`);
  return found;
}
