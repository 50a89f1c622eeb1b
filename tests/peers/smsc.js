// An SMSC made of node-smpp: binds, answers submits, sends receipts, each destination's last digits choosing how.
//
//   node smsc.js [CERT KEY]
//
// It writes one JSON object a line on standard output: first {"event": "listening", "port": N}, then what it saw. It
// reads commands on standard input, one a line: "enquire" and "unbind" go to every session, "hang" closes their sockets.
'use strict';

const fs = require('fs');
const readline = require('readline');
const smpp = require('smpp');

const PASSWORD = 'kvitto';
let lastId = 0xABCDEF0123;
const sessions = new Set();

function tell(event, fields) {
  process.stdout.write(JSON.stringify(Object.assign({event}, fields)) + '\n');
}

function text(id, stat, err) {
  return `id:${id} sub:001 dlvrd:001 submit date:2603091405 done date:2603091406 stat:${stat} err:${err} text:`;
}

// Each kind of receipt, by the last two digits of the destination; as node-smpp's users write them.
const RECEIPTS = {
  '00': (id) => ({short_message: {message: text(id, 'DELIVRD', '000')}, receipted_message_id: String(id), message_state: 2}),
  '01': (id) => ({short_message: '', message_payload: {message: text(id, 'DELIVRD', '000')}}),
  '02': (id) => ({data_sm: true, receipted_message_id: String(id), message_state: 2}),
  '03': (id) => ({short_message: {message: text(id, 'DELIVRD', '000')}}), // the response says it in hexadecimal
  '04': (id) => ({esm_class: 0, short_message: {message: text(id, 'DELIVRD', '000')}}),
  '05': (id) => ({short_message: {message: text(id, 'DELIVRD', '000')}}), // and it comes before the response
  '06': (id) => ({
    short_message: {message: text(id, 'UNDELIV', '027')},
    receipted_message_id: String(id),
    message_state: 5,
    network_error_code: Buffer.from([3, 0, 27]),
  }),
  '07': (id) => ({data_coding: 8, short_message: {message: text(id, 'DELIVRD', '000')}}),
  '08': (id) => ({short_message: {message: text(String(id).padStart(20, '0'), 'EXPIRED', '1F')}}),
  // With an application port in a user data header of its own.
  '09': (id) => ({
    esm_class: 0x44,
    short_message: {udh: Buffer.from([6, 5, 4, 0x0B, 0x84, 0x23, 0xF0]), message: text(id, 'DELIVRD', '000')},
  }),
};

function receipt(session, pdu, id) {
  const kind = RECEIPTS[pdu.destination_addr.slice(-2)] || RECEIPTS['00'];
  const fields = Object.assign(
    {esm_class: 4, source_addr: pdu.destination_addr, destination_addr: pdu.source_addr}, kind(id));
  const command = fields.data_sm ? 'data_sm' : 'deliver_sm';
  delete fields.data_sm;
  session[command](fields, (answer) => {
    tell('receipt_answered', {command: answer.command, status: answer.command_status, to: pdu.destination_addr});
  });
}

function octets(message) {
  if (message && message.udh) {
    return {udh: Buffer.concat(message.udh).toString('hex'), message: message.message};
  }
  return {udh: '', message: (message && message.message) || ''};
}

function onSubmit(session, pdu) {
  const id = ++lastId;
  const ending = pdu.destination_addr.slice(-2);
  const whole = octets(pdu.message_payload || pdu.short_message);
  tell('submit', {
    to: pdu.destination_addr, from: pdu.source_addr, data_coding: pdu.data_coding, esm_class: pdu.esm_class,
    registered_delivery: pdu.registered_delivery, udh: whole.udh, message: whole.message,
  });
  if (ending === '90') {
    session.send(pdu.response({command_status: smpp.ESME_RINVDSTADR}));
    return;
  }
  if (ending === '05') {
    receipt(session, pdu, id);
  }
  const answer = () => session.send(pdu.response({message_id: ending === '03' ? id.toString(16) : String(id)}));
  if (ending === '05') {
    setTimeout(answer, 30);
    return;
  }
  answer();
  setTimeout(() => receipt(session, pdu, id), 10);
}

function onBind(session, pdu) {
  const status = pdu.password === PASSWORD ? 0 : smpp.ESME_RINVPASWD;
  tell('bind', {command: pdu.command, system_id: pdu.system_id, version: pdu.interface_version, status});
  session.send(pdu.response({command_status: status, system_id: 'node-smpp'}));
  if (status) {
    session.close();
  }
}

function onSession(session) {
  sessions.add(session);
  for (const bind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(bind, (pdu) => onBind(session, pdu));
  }
  session.on('submit_sm', (pdu) => onSubmit(session, pdu));
  session.on('enquire_link', (pdu) => {
    tell('enquire_link', {});
    session.send(pdu.response());
  });
  session.on('unbind', (pdu) => {
    tell('unbind', {});
    session.send(pdu.response());
    session.close();
  });
  session.on('generic_nack', (pdu) => tell('generic_nack', {status: pdu.command_status}));
  session.on('error', (error) => tell('error', {message: String(error)}));
  session.on('close', () => {
    sessions.delete(session);
    tell('close', {});
  });
}

const COMMANDS = {
  enquire: (session) => session.enquire_link((pdu) => tell('enquire_link_resp', {status: pdu.command_status})),
  unbind: (session) => session.unbind((pdu) => {
    tell('unbind_resp', {status: pdu.command_status});
    session.close();
  }),
  hang: (session) => session.destroy(),
};

const [certificate, key] = process.argv.slice(2);
const options = certificate ? {cert: fs.readFileSync(certificate), key: fs.readFileSync(key)} : {};
const server = smpp.createServer(options, onSession);
server.listen(0, '127.0.0.1', () => tell('listening', {port: server.address().port}));
readline.createInterface({input: process.stdin}).on('line', (line) => sessions.forEach(COMMANDS[line]))
  .on('close', () => process.exit(0));
