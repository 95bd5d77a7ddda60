package consensus

// OpenLog opens the log of a voter that has stopped.
var OpenLog = openLog
