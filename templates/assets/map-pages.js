/* The pages of the map's pictures: their addresses. */
"use strict";

/* The address of picture i, as in cnnviz/site/picture_pages.py. */
function address(i) {
  const name = data.names[i], { folder, shared } = page.pages;
  if (data.own.has(i)) return `${folder}${slug(name)}.html`;
  const bytes = sha256(name); // its first eight bytes modulo a power of two
  const bucket = ((bytes[4] << 24 | bytes[5] << 16 | bytes[6] << 8 | bytes[7]) >>> 0) % shared;
  return `${folder}all-${String(bucket).padStart(4, "0")}.html#${slug(name)}`;
}

/* As cnnviz/slug.py. */
function slug(name) {
  if (/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) return name;
  const plain = name.normalize("NFKD").replace(/[^\0-\x7f]/g, "").toLowerCase().replace(/[^a-z0-9._]+/g, "-").replace(/^[-._]+|[-._]+$/g, "").slice(0, 64);
  return `${plain || "x"}-${[...sha256(name).slice(0, 4)].map(byte => byte.toString(16).padStart(2, "0")).join("")}`;
}

/* SHA-256 of a text's UTF-8, 32 bytes (FIPS 180-4): browsers have their own only for pages served with TLS. */
function sha256(text) {
  const message = new TextEncoder().encode(text);
  const padded = new Uint8Array((message.length + 72) & ~63);
  padded.set(message);
  padded[message.length] = 128;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, message.length * 8);
  // the first 32 bits of the fractional parts of square and cube roots of the first primes
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every(p => n % p)) primes.push(n);
  const bits = root => (root - Math.floor(root)) * 2 ** 32 | 0;
  const keys = primes.map(p => bits(Math.cbrt(p)));
  const hash = primes.slice(0, 8).map(p => bits(Math.sqrt(p)));
  const turn = (x, n) => x >>> n | x << 32 - n;
  const w = new Int32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let t = 0; t < 64; t++) {
      if (t < 16) w[t] = view.getInt32(block + 4 * t);
      else w[t] = (turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >>> 10) + w[t - 7] + (turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >>> 3) + w[t - 16];
    }
    let [a, b, c, d, e, f, g, h] = hash;
    for (let t = 0; t < 64; t++) {
      const one = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (e & f ^ ~e & g) + keys[t] + w[t] | 0;
      const two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + (a & b ^ a & c ^ b & c) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, d + one | 0, c, b, a, one + two | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((value, k) => (hash[k] = hash[k] + value | 0));
  }
  const bytes = new DataView(new ArrayBuffer(32));
  hash.forEach((value, k) => bytes.setInt32(4 * k, value));
  return new Uint8Array(bytes.buffer);
}
