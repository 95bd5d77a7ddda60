//go:build unix

package main

import "syscall"

// privateFiles makes everything that this process creates readable by its user
// only.
func privateFiles() { syscall.Umask(0o077) }
