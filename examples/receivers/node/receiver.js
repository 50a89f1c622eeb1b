// Receives callbacks: checks the signature, drops duplicates, answers. Node.js 14 or newer, no packages.
//
//     WEBHOOK_SECRET=whsec_... PORT=9000 node receiver.js
'use strict';

const { createHmac, timingSafeEqual } = require('node:crypto');
const { createServer } = require('node:http');

const TOLERANCE_S = 300;
const MOST_BODY = 1024 * 1024;
const REMEMBERED = 100_000;

const KEY = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ''), 'base64');

// Whether we were sent this, unchanged, within the last minutes.
function isGenuine(headers, body) {
  const id = headers['webhook-id'] ?? '';
  const timestamp = headers['webhook-timestamp'] ?? '';
  if (!id || !/^[0-9]{1,15}$/.test(timestamp)) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) return false;
  const mac = createHmac('sha256', KEY).update(`${id}.${timestamp}.`).update(body).digest('base64');
  const right = Buffer.from(`v1,${mac}`);
  // There are two while a secret is being replaced: one that fits is enough.
  return (headers['webhook-signature'] ?? '').split(' ').some((text) => {
    const given = Buffer.from(text);
    return given.length === right.length && timingSafeEqual(given, right);
  });
}

// The ids of calls that came before. Yours belong into the database, in the transaction of what a call causes.
const seen = new Set();

function isNew(id) {
  if (seen.has(id)) return false;
  seen.add(id);
  if (seen.size > REMEMBERED) seen.delete(seen.values().next().value); // the oldest
  return true;
}

function answer(response, status) {
  const body = JSON.stringify({ status }); // 9bits callbacks count only with this body; the others do not mind
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

const server = createServer((request, response) => {
  const pieces = [];
  let length = 0;
  request.on('data', (piece) => {
    length += piece.length;
    if (length <= MOST_BODY) pieces.push(piece);
  });
  request.on('end', () => {
    if (length > MOST_BODY) return answer(response, 413);
    const body = Buffer.concat(pieces);
    if (request.method !== 'POST') return answer(response, 405);
    if (!isGenuine(request.headers, body)) return answer(response, 401);
    if (isNew(request.headers['webhook-id'])) {
      console.log(body.toString('utf8')); // here your work begins; keep it short, or queue it
    }
    answer(response, 200);
  });
});

server.keepAliveTimeout = 60_000; // longer than callbacks keep an unused connection
server.listen(Number(process.env.PORT ?? 9000), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
