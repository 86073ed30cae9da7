// What proves pages whole: one look at the stream for all that wait, begun behind the page that it is for.

import { describe, expect, test } from "@jest/globals";
import type { LiveLog } from "./live-log.js";
import { MemorySource } from "./memory-source.fixture.js";
import { PageProofs } from "./page-proofs.js";

function world(events = 100) {
  const source = new MemorySource();
  for (let n = 1; n <= events; n++) source.publish("rt.x", n);
  const head = source.messages.at(-1)!;
  let checks = 0;
  const log = { generation: 1, epoch: source.epoch, last: head.seq, lastTime: head.time, check: () => void checks++ };
  const proofs = new PageProofs({ source, liveLog: log as unknown as LiveLog });
  let looks = 0;
  const look = source.head.bind(source);
  source.head = () => (looks++, look());
  /** Of a page that was read just now. */
  const isThere = (seq: number) => proofs.isThere(seq, proofs.heardHead());
  return { source, log, proofs, isThere, checks: () => checks, looks: () => looks };
}

const settled = (proofs: readonly Promise<boolean>[]) =>
  Promise.all(proofs.map((proof) => proof.catch((error: Error) => error.message)));

describe("a proof", () => {
  test("is one look, however many wait for it", async () => {
    const { isThere, looks } = world();
    const first = isThere(50); // its look begins at once
    const others = Array.from({ length: 30 }, (_, at) => isThere(at + 1)); // these have theirs behind it
    expect(await settled([first, ...others])).toEqual(Array.from({ length: 31 }, () => true));
    expect(looks()).toBe(2);
  });

  test("says of each whether it is there when the first of them is not", async () => {
    const { source, isThere } = world();
    source.trim(10);
    const first = isThere(100);
    expect(await settled([first, isThere(5), isThere(10), isThere(11)])).toEqual([true, false, false, true]);
  });

  test("sees what was trimmed between the page and its look", async () => {
    const { source, isThere } = world();
    const first = isThere(1);
    const later = isThere(2);
    expect(await first).toBe(true);
    source.trim(2);
    expect(await later).toBe(false);
  });

  test("is refused to all by a stream that was made anew, and the log is looked at", async () => {
    const { source, isThere, checks } = world();
    source.recreate("e2");
    for (let n = 1; n <= 200; n++) source.publish("rt.x", n);
    const refusals = await settled([isThere(1), isThere(2), isThere(3)]);
    expect(refusals).toEqual(Array.from({ length: 3 }, () => expect.stringContaining("not the one that was heard")));
    expect(checks()).toBe(3);
  });

  test("that cannot be made now is made for those who ask later", async () => {
    const { source, isThere } = world();
    source.failing = true;
    expect(await settled([isThere(1), isThere(2)])).toEqual([
      expect.stringContaining("down"),
      expect.stringContaining("down"),
    ]);
    source.failing = false;
    expect(await isThere(1)).toBe(true);
  });

  test("is no look that began before it", async () => {
    const { source, isThere } = world();
    const look = source.head;
    source.head = async () => {
      const head = await look();
      source.trim(5); // behind each look
      return head;
    };
    const first = isThere(3);
    expect(await settled([first, isThere(4), isThere(6)])).toEqual([true, false, true]);
  });

  test("is of the stream that was heard before the page was read, though the next one has caught up since", async () => {
    const { source, log, proofs } = world();
    source.trim(11);
    const before = proofs.heardHead(); // and the page is read: it begins with the twelfth
    source.recreate("e2");
    for (let n = 1; n <= 101; n++) source.publish("rt.x", n);
    const caughtUp = source.messages.at(-1)!;
    log.last = caughtUp.seq; // heard as what follows the hundredth of the old stream
    log.lastTime = caughtUp.time;
    expect(await settled([proofs.isThere(1, before)])).toEqual([expect.stringContaining("not the one that was heard")]);
  });

  test("is refused to a page from before a reset, and to no other", async () => {
    const { log, proofs, isThere } = world();
    const before = proofs.heardHead();
    log.generation++;
    expect(await settled([proofs.isThere(1, before), isThere(1)])).toEqual([
      expect.stringContaining("not the one that was heard"),
      true,
    ]);
  });

  test("is refused where the stream was trimmed further than was heard: a page from there would hide the gap", async () => {
    const { source, proofs, checks } = world();
    const heard = { ...proofs.heardHead(), seq: 90 };
    source.trim(90);
    expect(await settled([proofs.isThere(91, heard)])).toEqual([true]);
    source.trim(1);
    expect(await settled([proofs.isThere(92, heard)])).toEqual([expect.stringContaining("not the one that was heard")]);
    expect(checks()).toBe(1);
  });

  test("is refused where the stream ends before what was heard: it was put back to an older state", async () => {
    const { source, isThere, checks } = world();
    source.messages.splice(90);
    expect(await settled([isThere(1)])).toEqual([expect.stringContaining("not the one that was heard")]);
    expect(checks()).toBe(1);
  });
});
