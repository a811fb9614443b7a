// Package facade holds what the façades share beyond the chassis: how an error of
// a branch becomes an answer, what a client means by {exchange}/{symbol}, and what the
// audit log keeps of an act.
// It lies below the façades and above the chassis, holds no state and starts
// nothing.
package facade
