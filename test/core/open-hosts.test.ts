// Where an origin that joins at run time may be: nowhere that only the router's own network sees, however that is spelt.

import { expect, test } from "vitest";
import { openHostFault } from "../../src/core/open-hosts.ts";
import { bareUrl } from "../../src/core/config-texts.ts";

const faultOf = (host: string, allowed?: readonly string[]): string | undefined => openHostFault(bareUrl(`https://${host}`) ?? "", allowed);

test.each([
  "localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "printer.local", "db.internal", "metadata.google.internal", "router.home.arpa", "intranet",
  "127.0.0.1", "127.1", "127.0.0.1.", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "0", "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255",
  "169.254.169.254", "2852039166", "172.16.0.1", "172.31.255.255", "192.168.1.1", "192.0.0.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "240.0.0.1", "255.255.255.255",
  "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::127.0.0.1]", "[fc00::1]", "[fd12:3456::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]",
  "[64:ff9b::10.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2002:c0a8:101::1]", "[100::1]",
])("%s is closed", (host) => {
  expect(faultOf(host)).toMatch(/no loopback, private or local one/);
});

test.each([
  "weur-1.example.com", "localhost.example.com", "internal.example.com", "mylocal.example", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.167.1.1",
  "192.0.1.1", "198.17.255.255", "198.20.0.1", "223.255.255.255", "[2606:4700::1111]", "[2001:db9::1]", "[64:ff9b::8.8.8.8]", "[2002:808:808::1]", "[::ffff:8.8.8.8]", "xn--kste-0ra.example",
])("%s is open", (host) => {
  expect(faultOf(host)).toBeUndefined();
});

test.each([
  ["weur-1.example.com", ["*.example.com"], true], ["a.b.example.com", ["*.example.com"], true], ["example.com", ["*.example.com"], false], ["example.com", ["example.com"], true],
  ["evilexample.com", ["*.example.com"], false], ["example.com.evil.test", ["*.example.com", "example.com"], false], ["weur-1.example.com.", ["*.example.com"], true],
  ["8.8.8.8", ["*.example.com"], false], ["8.8.8.8", ["8.8.8.8"], true], ["a.example.com", [], false], ["127.0.0.1", ["127.0.0.1"], false],
])("%s among %j: %s", (host, allowed, fits) => {
  expect(faultOf(host, allowed) === undefined).toBe(fits);
});
