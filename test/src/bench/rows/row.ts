// What each row gets and gives.

import type { FoundServers } from "@outcry/servers";
import type { Figures, MeasureOptions } from "../measure.js";

export interface RowContext extends MeasureOptions {
  servers: FoundServers;
  folder: string;
  /** Small sizes where a row has sizes. */
  quick: boolean;
  /** Folder for CPU profiles, one more uncounted run each; undefined = none. */
  profile: string | undefined;
}

export type Row = (context: RowContext) => Promise<Figures[]>;
