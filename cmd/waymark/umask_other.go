//go:build !unix

package main

// privateFiles leaves it to the directory, which belongs to its user.
func privateFiles() {}
