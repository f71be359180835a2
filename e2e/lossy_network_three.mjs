// Three people play three rounds of 450 frames at 30 frames a second while every fifth UDP packet is lost.
import { playOnALossyNetwork } from "./lib/lossy.mjs";

export default (journey) => playOnALossyNetwork(3, journey);
