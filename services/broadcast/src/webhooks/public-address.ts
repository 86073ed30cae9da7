// Which IP addresses lie in the public internet. IANA's special-purpose registries (RFC 6890 and its updates), read as of 2026.
// IPv6 is an allow list: only 2000::/3 is global unicast, so mapped, NAT64 and local forms fall out by themselves.

import { BlockList, isIP } from "node:net";

const SPECIAL_V4: readonly [network: string, prefix: number][] = [
  ["0.0.0.0", 8], // this network
  ["10.0.0.0", 8], // private
  ["100.64.0.0", 10], // carrier-grade NAT; some clouds' metadata
  ["127.0.0.0", 8], // loopback
  ["168.63.129.16", 32], // a cloud's platform address (Azure), in no registry
  ["169.254.0.0", 16], // link-local; clouds' metadata
  ["172.16.0.0", 12], // private
  ["192.0.0.0", 24], // IETF protocols
  ["192.0.2.0", 24], // documentation
  ["192.31.196.0", 24], // AS112
  ["192.52.193.0", 24], // AMT
  ["192.88.99.0", 24], // 6to4 relays
  ["192.168.0.0", 16], // private
  ["192.175.48.0", 24], // AS112
  ["198.18.0.0", 15], // benchmarks
  ["198.51.100.0", 24], // documentation
  ["203.0.113.0", 24], // documentation
  ["224.0.0.0", 4], // multicast
  ["240.0.0.0", 4], // reserved, broadcast
];

const SPECIAL_V6: readonly [network: string, prefix: number][] = [
  ["2001::", 23], // IETF protocols: Teredo, ORCHID, benchmarks
  ["2001:db8::", 32], // documentation
  ["2002::", 16], // 6to4 carries an IPv4 address
  ["2620:4f:8000::", 48], // AS112
  ["3fff::", 20], // documentation
];

const v4 = listOf(SPECIAL_V4, "ipv4");
const v6 = listOf(SPECIAL_V6, "ipv6");
const globalV6 = listOf([["2000::", 3]], "ipv6");

/** False for anything that is no address, too. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !v4.check(address, "ipv4");
    case 6:
      // A zone (`fe80::1%eth0`) belongs to local addresses only.
      return !address.includes("%") && globalV6.check(address, "ipv6") && !v6.check(address, "ipv6");
    default:
      return false;
  }
}

function listOf(ranges: readonly [string, number][], family: "ipv4" | "ipv6"): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of ranges) list.addSubnet(network, prefix, family);
  return list;
}
