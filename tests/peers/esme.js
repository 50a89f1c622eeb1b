// An ESME made of node-smpp: binds, sends what it is told to, waits for its receipts, unbinds.
//
//   node esme.js URL JOB [CA]     URL as smpp://127.0.0.1:2775 or ssmpp://..., JOB as JSON:
//   {"bind": "bind_transceiver", "password": ..., "messages": [{...fields of submit_sm}], "receipts": N}
//
// A message with "parts" (a list of texts) goes out in parts with a header. It writes one JSON object on standard
// output when all is done: the answers in order, the receipts as they came, whether enquire_link and unbind were answered.
'use strict';

const fs = require('fs');
const smpp = require('smpp');

const [url, jobText, authority] = process.argv.slice(2);
const job = JSON.parse(jobText);
const seen = {bind: null, version: null, answers: [], receipts: [], enquired: null, unbound: null, asked: 0};
const session = smpp.connect(Object.assign({url}, authority ? {ca: fs.readFileSync(authority), servername: 'localhost'} : {}));
let awaited = 0;
let leaving = false;

function leave() {
  if (leaving || seen.answers.length < awaited || seen.receipts.length < (job.receipts || 0)) {
    return;
  }
  leaving = true;
  session.enquire_link((answer) => {
    seen.enquired = answer.command_status;
    session.unbind((unbound) => {
      seen.unbound = unbound.command_status;
      session.close();
    });
  });
}

function submit(fields) {
  const at = awaited++;
  session.submit_sm(Object.assign({registered_delivery: 1, source_addr: 'Node'}, fields), (answer) => {
    seen.answers.push({at, status: answer.command_status, message_id: answer.message_id});
    leave();
  });
}

function submitAll() {
  for (const message of job.messages || []) {
    const {parts, ...fields} = message;
    if (!parts) {
      submit(fields);
      continue;
    }
    parts.forEach((part, at) => {
      const udh = Buffer.from([5, 0, 3, 77, parts.length, at + 1]);
      submit(Object.assign({esm_class: 0x40, short_message: {udh, message: part}}, fields));
    });
  }
  leave();
}

function onReceipt(pdu) {
  const carried = pdu.message_payload || pdu.short_message || {};
  seen.receipts.push({
    command: pdu.command, from: pdu.source_addr, to: pdu.destination_addr, esm_class: pdu.esm_class,
    text: carried.message || '', id: pdu.receipted_message_id, state: pdu.message_state,
    network_error: pdu.network_error_code ? pdu.network_error_code.toString('hex') : null,
  });
  session.send(pdu.response({command_status: 0}));
  leave();
}

session.on('deliver_sm', onReceipt);
session.on('data_sm', onReceipt);
session.on('enquire_link', (pdu) => {
  seen.asked += 1;
  session.send(pdu.response());
});
session.on('error', (error) => {
  seen.error = String(error);
});
session.on('close', () => {
  process.stdout.write(JSON.stringify(seen) + '\n');
  process.exit(0);
});
session.on(authority ? 'secureConnect' : 'connect', () => {
  session[job.bind || 'bind_transceiver']({system_id: 'kvitto', password: job.password || 'kvitto'}, (answer) => {
    seen.bind = answer.command_status;
    seen.version = answer.sc_interface_version;
    if (answer.command_status === 0) {
      submitAll();
    }
  });
});
