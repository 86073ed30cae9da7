// /v1/dead-letters/replays: replays of dead letters as resources. What they do is the pipeline's (../../replays/).

import type { ReplayState } from "@outcry/delivery";
import { OutcryError, ReplayCommand, ReplayDryRun, ReplayRequest, ReplayView, page } from "@outcry/protocol";
import Type from "typebox";
import type { JudgeDeps } from "../../replays/judge-letters.js";
import { planReplay } from "../../replays/plan-replay.js";
import type { ReplayBook } from "../../replays/replay-book.js";
import { newReplay, type ReplayVerb } from "../../replays/replay-state.js";
import { viewReplays } from "../../replays/view-replay.js";
import { readCursor, writeCursor } from "../cursor.js";
import { type App, callerOf } from "../principal.js";

const PAGE_DEFAULT = 20;
const PAGE_MAX = 100;
const READERS = ["operator", "admin"] as const;
const tags = ["dead letters"];
const ById = Type.Object({ id: Type.String() });

export interface ReplayRouteDeps extends JudgeDeps {
  replays: ReplayBook;
}

export function replayRoutes(app: App, deps: ReplayRouteDeps): void {
  const { replays } = deps;
  const viewOf = async (state: ReplayState): Promise<ReplayView> => (await viewReplays(deps, [state]))[0]!;

  app.post(
    "/v1/dead-letters/replays",
    {
      config: { roles: ["admin"], problems: ["replays_too_many"] },
      schema: {
        tags,
        summary: "Send dead letters again; with dry_run only count them",
        description:
          "Deliveries go once more to their nodes while their intents are open; messages go to their handlers again.",
        body: ReplayRequest,
        response: { 200: ReplayDryRun, 201: ReplayView },
      },
    },
    async (request, reply) => {
      const plan = await planReplay(deps, request.body.filter);
      if (request.body.dry_run === true) {
        const { matched, valid, invalid, complete } = plan;
        return reply.code(200).send({ status: "dry_run", matched, valid, invalid, complete });
      }
      const state = await replays.start(newReplay(plan, request.body, callerOf(request.principal), deps.clock));
      return reply
        .code(201)
        .header("location", `/v1/dead-letters/replays/${state.id}`)
        .send(await viewOf(state));
    },
  );

  app.get(
    "/v1/dead-letters/replays",
    {
      config: { roles: READERS },
      schema: {
        tags,
        summary: "Replays, newest first",
        querystring: Type.Object({
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX, default: PAGE_DEFAULT })),
          cursor: Type.Optional(Type.String({ maxLength: 200, description: "`next_cursor` of the page before" })),
        }),
        response: { 200: page(ReplayView) },
      },
    },
    async (request) => {
      const { limit = PAGE_DEFAULT, cursor } = request.query;
      const beforeId = cursor === undefined ? undefined : readCursor("rpl", cursor);
      const all = (await replays.list()).map(({ state }) => state); // ids are in the order of time
      const older = all.filter(({ id }) => beforeId === undefined || id < beforeId);
      const found = older.toSorted((one, other) => (one.id < other.id ? 1 : -1)).slice(0, limit);
      const more = older.length > found.length;
      const data = await viewReplays(deps, found);
      return { data, has_more: more, ...(more ? { next_cursor: writeCursor(found.at(-1)!.id) } : {}) };
    },
  );

  app.get(
    "/v1/dead-letters/replays/:id",
    {
      config: { roles: READERS, problems: ["replay_not_found"] },
      schema: {
        tags,
        summary: "How far a replay is, and who asked for it",
        params: ById,
        response: { 200: ReplayView },
      },
    },
    async (request) => {
      const kept = await replays.get(request.params.id);
      if (kept === undefined) throw new OutcryError("replay_not_found");
      return viewOf(kept.state);
    },
  );

  const commandRoute = (kind: ReplayVerb, summary: string) =>
    app.post(
      `/v1/dead-letters/replays/:id/${kind}`,
      {
        config: {
          roles: ["admin"],
          problems: ["replay_not_found", "replay_ended", ...(kind === "resume" ? (["replays_too_many"] as const) : [])],
        },
        // No body is one without a reason.
        preValidation: async (request) => {
          request.body ??= {};
        },
        schema: { tags, summary, params: ById, body: ReplayCommand, response: { 200: ReplayView } },
      },
      async (request) => {
        const { reason } = request.body;
        const by = callerOf(request.principal);
        return viewOf(
          await replays.change(request.params.id, { kind, by, ...(reason === undefined ? {} : { reason }) }),
        );
      },
    );
  commandRoute("pause", "Stop sending within a quarter of a second; it can be resumed");
  commandRoute("resume", "Go on where it was paused");
  commandRoute("cancel", "Stop sending for good");
}
