// Writes docs/configuration.md from the table of variables. A test fails when the page is stale.

import { writeFileSync } from "node:fs";
import { configurationPage } from "../dist/index.js";

writeFileSync(new URL("../../../docs/configuration.md", import.meta.url), configurationPage());
