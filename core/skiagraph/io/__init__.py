"""Files: CTs, labels, landmarks, pictures, DICOM and the records beside them."""
