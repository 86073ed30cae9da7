// A CPU profile of a stretch of this process, in the form that Chrome's developer tools and others open.

import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";

const SAMPLE_EVERY_US = 200;

let session: Session | undefined;

export const profileVerbs = {
  async startProfile(): Promise<void> {
    session = new Session();
    session.connect();
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: SAMPLE_EVERY_US });
    await session.post("Profiler.start");
  },
  async endProfile(file: string): Promise<void> {
    const { profile } = await session!.post("Profiler.stop");
    writeFileSync(file, JSON.stringify(profile));
    session!.disconnect();
  },
};
