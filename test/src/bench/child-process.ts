// Processes that a row needs beside this one, each answering to verbs over Node's own channel.

import { fork } from "node:child_process";
import path from "node:path";

// oxlint-disable-next-line typescript/no-explicit-any
type Verb = (argument: any) => Promise<unknown>;
export type Verbs = Record<string, Verb>;

export interface Child<V extends Verbs> {
  readonly pid: number;
  call<K extends keyof V & string>(verb: K, ...argument: Parameters<V[K]>): Promise<Awaited<ReturnType<V[K]>>>;
  stop(): Promise<void>;
  /** As a crash ends it. */
  kill(): Promise<void>;
}

const STOP_MS = 15_000;

interface Answer {
  id: number;
  value?: unknown;
  error?: string;
}

/** `role` names one of the files in child/. */
export function startChild<V extends Verbs>(role: string): Child<V> {
  const child = fork(path.join(import.meta.dirname, "child", "main.js"), [role], { serialization: "advanced" });
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  let next = 0;
  child.on("message", (message) => {
    const { id, value, error } = message as Answer;
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(value as never);
    else asked?.reject(new Error(`${role}: ${error}`));
  });
  const ended = new Promise<void>((resolve) => {
    child.on("exit", (code, signal) => {
      for (const { reject } of waiting.values()) reject(new Error(`${role} ended: ${signal ?? code}`));
      resolve();
    });
  });

  const call = (verb: string, argument?: unknown): Promise<never> =>
    new Promise((resolve, reject) => {
      const id = next++;
      waiting.set(id, { resolve, reject });
      child.send({ id, verb, argument });
    });
  return {
    pid: child.pid!,
    call: call as Child<V>["call"],
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
    async stop() {
      if (!child.connected) return ended;
      const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      child.disconnect();
      await ended;
      clearTimeout(late);
    },
  };
}

/** In the child: answers until the parent lets go or dies, then stops. */
export function serve(verbs: Verbs, stop: () => Promise<void>): void {
  process.on("message", (message) => {
    const { id, verb, argument } = message as { id: number; verb: string; argument: unknown };
    const answer = (rest: Omit<Answer, "id">) => process.connected && process.send!({ id, ...rest });
    verbs[verb]!(argument).then(
      (value) => answer({ value }),
      (error: unknown) => answer({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  process.on("SIGINT", () => undefined); // Ctrl-C reaches the whole group; the parent ends this one in its turn
  process.on("disconnect", () => {
    void stop().finally(() => process.exit(0));
  });
}
