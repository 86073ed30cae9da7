import { expect, test } from "@jest/globals";
import { addressOf } from "./caller-limits.js";

test("an address is an IPv4 address, or the /64 of an IPv6 one in any of its forms", () => {
  const cases: [ip: string, address: string][] = [
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::6", "2001:db8:1:2::/64"],
    ["2001:db8::6", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ];
  for (const [ip, address] of cases) expect(addressOf({ ip })).toBe(address);
});
