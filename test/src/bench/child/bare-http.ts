// The least that an HTTP service of this kind must do: a Fastify route, one append that is on disk before the answer.

import type { NatsConnection } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";
import { type FastifyInstance, fastify } from "fastify";
import type { AddressInfo } from "node:net";
import { randomUUID } from "node:crypto";
import { BARE, type Place, connectBare } from "./place.js";

export function bareHttpRole() {
  let app: FastifyInstance;
  let bare: NatsConnection;
  const verbs = {
    /** `/append` stores the body; `/reach` also publishes it to these nodes. Returns the base URL. */
    async start({ place, nodes }: { place: Place; nodes: string[] }): Promise<string> {
      bare = await connectBare(place, "barehttp");
      const stream = jetstream(bare);
      const subjects = nodes.map((node) => BARE.node(node));
      app = fastify();
      app.post("/append", async (request, reply) => {
        const id = randomUUID();
        await stream.publish(BARE.append(id), JSON.stringify(request.body));
        return reply.code(202).send({ id });
      });
      app.post("/reach", async (request, reply) => {
        const id = randomUUID();
        const text = JSON.stringify(request.body);
        await stream.publish(BARE.append(id), text);
        for (const subject of subjects) bare.publish(subject, text);
        return reply.code(202).send({ id });
      });
      await app.listen({ host: "127.0.0.1", port: 0 });
      return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
    },
  };
  return {
    verbs,
    async stop() {
      await app?.close();
      await bare?.close();
    },
  };
}

export type BareHttpVerbs = ReturnType<typeof bareHttpRole>["verbs"];
