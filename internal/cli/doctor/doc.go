// Package doctor looks at what a program will stand on before it is started, or beside
// one that runs: its ports, the directory and the disk for its data, the limits of the
// process, the machine's memory and clock, and the servers that it needs.
//
// A [Plan] says what is looked at; it is a pure function of the configuration. [Examine]
// looks, changes nothing that outlasts it, and returns findings in the order of the plan.
// Each that is not well says what to do about it.
//
// # What is a failure
//
// fail is what keeps the program, or one of its services, from starting or from taking
// records; warn is what makes it slow, or its figures doubtful. A server of a stranger
// that cannot be reached is a failure, because nothing is collected from it; but one that
// answers with an error does answer.
package doctor
