// Lets topics pass one another, but not what is about the same topic; so many at a time.

export interface TopicOrder {
  /** Runs `work` behind everything asked for before on this topic. After `close` it rejects with `closed` what has not begun. */
  run<T>(topic: string, work: () => Promise<T>): Promise<T>;
  close(closed: Error): void;
}

export function createTopicOrder(inFlightMax: number): TopicOrder {
  const last = new Map<string, Promise<void>>();
  const waiting: (() => void)[] = [];
  let inFlight = 0;
  let closedBy: Error | undefined;

  const enter = (): Promise<void> | undefined => {
    if (inFlight < inFlightMax) {
      inFlight++;
      return undefined;
    }
    return new Promise((resolve) => waiting.push(resolve));
  };
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) inFlight--;
    else next(); // takes this place over
  };

  return {
    async run(topic, work) {
      const before = last.get(topic);
      let done: () => void = () => undefined;
      const mine = new Promise<void>((resolve) => (done = resolve));
      last.set(topic, mine);
      try {
        await before;
        await enter();
        try {
          if (closedBy !== undefined) throw closedBy;
          return await work();
        } finally {
          leave();
        }
      } finally {
        done();
        if (last.get(topic) === mine) last.delete(topic);
      }
    },
    close(closed) {
      closedBy = closed;
    },
  };
}
