// Entry of every process that a row starts; the role is its only argument. Only what the role needs is loaded: a row starts several.

import { serve } from "../child-process.js";

const roles = {
  service: async () => (await import("./service.js")).serviceRole(),
  intake: async () => (await import("./intake.js")).intakeRole(),
  "bare-http": async () => (await import("./bare-http.js")).bareHttpRole(),
  load: async () => (await import("./load.js")).loadRole(),
  fill: async () => (await import("./fill.js")).fillRole(),
  gateway: async () => (await import("./gateway.js")).gatewayRole(),
  "bare-sockets": async () => (await import("./bare-sockets.js")).bareSocketsRole(),
  subscribers: async () => (await import("./subscribers.js")).subscribersRole(),
};

const role = await roles[process.argv[2] as keyof typeof roles]();
serve(role.verbs, role.stop);
