package config

import "golang.org/x/sys/windows"

func knownPictures() (string, error) {
	return windows.KnownFolderPath(windows.FOLDERID_Pictures, windows.KF_FLAG_DEFAULT)
}
