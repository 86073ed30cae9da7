// Entry of every process that a row starts; the role is its only argument.

import { serve } from "../child-process.js";
import { bareHttpRole } from "./bare-http.js";
import { bareSocketsRole } from "./bare-sockets.js";
import { fillRole } from "./fill.js";
import { gatewayRole } from "./gateway.js";
import { intakeRole } from "./intake.js";
import { loadRole } from "./load.js";
import { serviceRole } from "./service.js";
import { subscribersRole } from "./subscribers.js";

const roles = {
  service: serviceRole,
  intake: intakeRole,
  "bare-http": bareHttpRole,
  load: loadRole,
  fill: fillRole,
  gateway: gatewayRole,
  "bare-sockets": bareSocketsRole,
  subscribers: subscribersRole,
};

const role = roles[process.argv[2] as keyof typeof roles]();
serve(role.verbs, role.stop);
