/**
 * The generated messages, with 64-bit fields as Long in every environment.
 *
 * protobufjs looks for Long by itself and falls back to inexact numbers silently where its bundler
 * trick finds none (under a test runner, say). So it is handed over here, before the generated
 * module reads it: keep this order.
 */
import './long.ts';
import { aliquot } from '../gen/messages.js';

/** The generated messages, by the names of their types. */
export const { v1 } = aliquot;
