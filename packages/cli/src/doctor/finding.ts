// One line of the doctor: what was looked at, what it is, what it should be, and the line that mends it.

export interface Finding {
  /** Stable name, `nats.sync_interval`: scripts and runbooks refer to it. */
  readonly check: string;
  readonly status: "ok" | "warn" | "fail" | "skip";
  readonly found: string;
  readonly wanted?: string;
  readonly fix?: string;
}

type Advice = Pick<Finding, "wanted" | "fix">;

export const ok = (check: string, found: string): Finding => ({ check, status: "ok", found });
export const warn = (check: string, found: string, advice: Advice): Finding => ({
  check,
  status: "warn",
  found,
  ...advice,
});
export const fail = (check: string, found: string, advice: Advice): Finding => ({
  check,
  status: "fail",
  found,
  ...advice,
});
export const skip = (check: string, found: string, fix: string): Finding => ({ check, status: "skip", found, fix });

export const messageOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const inner = error.cause instanceof Error ? error.cause : error;
  return inner.message || inner.name;
};
