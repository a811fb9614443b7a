// Package facade holds what the façades share beyond the chassis: how an error of
// a branch becomes an answer, and what a client means by {exchange}/{symbol}.
// It lies below the façades and above the chassis, holds no state and starts
// nothing.
package facade
