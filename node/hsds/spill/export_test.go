package spill

// InMemory makes an index of n entries a large one until the test ends.
func InMemory(n int) (back func()) {
	was := inMemory
	inMemory = n
	return func() { inMemory = was }
}
