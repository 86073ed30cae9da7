// Entry of every process that a row starts; the role is its only argument.

import { serve } from "../child-process.js";
import { bareHttpRole } from "./bare-http.js";
import { fillRole } from "./fill.js";
import { intakeRole } from "./intake.js";
import { loadRole } from "./load.js";
import { serviceRole } from "./service.js";

const roles = { service: serviceRole, intake: intakeRole, "bare-http": bareHttpRole, load: loadRole, fill: fillRole };

const role = roles[process.argv[2] as keyof typeof roles]();
serve(role.verbs, role.stop);
