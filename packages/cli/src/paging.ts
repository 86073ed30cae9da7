// Lists come in pages: the options to walk them, and the hint to the next one.

import type { Printer } from "./print.js";

export const PAGE = {
  limit: { type: "string", value: "number", help: "how many at most" },
  cursor: { type: "string", value: "cursor", help: "go on where the page before ended" },
} as const;

export function moreHint(print: Printer, cursor: string | undefined): void {
  if (cursor !== undefined) print.note(`more: --cursor ${cursor}`);
}
