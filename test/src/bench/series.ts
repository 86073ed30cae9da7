// Gathers the points of several growths over the same sizes.

import { type Growth, TAIL_TOLERANCE, TOLERANCE } from "./growth.js";

export type Measured = Pick<Growth, "what" | "unit" | "cause"> & { isRaw?: boolean };

export class Series {
  readonly #grows: string;
  readonly #byLabel = new Map<string, Growth>();

  constructor(grows: string) {
    this.#grows = grows;
  }

  /** `perItem` of `label` at `size`. */
  add(label: string, { isRaw = false, ...measured }: Measured, size: number, perItem: number): void {
    const tolerance = label.endsWith("p99") ? TAIL_TOLERANCE : TOLERANCE;
    const growth = this.#byLabel.get(label) ?? {
      label,
      ...measured,
      grows: this.#grows,
      tolerance,
      isRaw,
      points: [],
    };
    growth.points.push({ size, perItem });
    this.#byLabel.set(label, growth);
  }

  all(): Growth[] {
    return [...this.#byLabel.values()];
  }
}
