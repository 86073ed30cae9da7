// A browser's news that the network may have changed: it came or went, or the page is shown again after a sleep.

interface Target {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
}

/** Returns how to stop. Where there are no such events, nothing happens. */
export function onWake(listener: () => void): () => void {
  const scope = globalThis as Target & { document?: Target & { visibilityState?: string } };
  const { document } = scope;
  const onVisibility = () => {
    if (document?.visibilityState === "visible") listener();
  };
  const wiring: [Target | undefined, string, () => void][] = [
    [scope, "online", listener],
    [scope, "offline", listener],
    [scope, "pageshow", listener],
    [document, "visibilitychange", onVisibility],
  ];
  for (const [target, type, heard] of wiring) target?.addEventListener?.(type, heard);
  return () => {
    for (const [target, type, heard] of wiring) target?.removeEventListener?.(type, heard);
  };
}
