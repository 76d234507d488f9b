// The network that an address stands for.

import { expect, test } from "vitest";
import { networkOf } from "../../src/core/network.ts";

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:0DB8:0001:0002::", "2001:db8:1:2::/64"],
  ["2001:db8:1:2::ffff", "2001:db8:1:2::/64"],
  ["2001:db8::6", "2001:db8:0:0::/64"],
  ["2001:db8:0:0:1::", "2001:db8:0:0::/64"],
  ["2001:db8::1:2:3:4:5", "2001:db8:0:1::/64"],
  ["127.0.0.1", undefined],
  ["127.8.7.6", undefined],
  ["::1", undefined],
  ["::2", "0:0:0:0::/64"],
  ["::", "0:0:0:0::/64"],
  ["fe80::1", "fe80:0:0:0::/64"],
])("%s → %s", (address, network) => {
  expect(networkOf(address)).toBe(network);
});

test.each(["", "nobody", ":", ":::", "1:2:3", "::1::2", "g".repeat(10_000), ":".repeat(10_000)])("what is no address is somebody all the same, always the same: %.20s", (text) => {
  expect(networkOf(text)).toBe(networkOf(text));
});
